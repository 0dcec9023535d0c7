#include "cli/import_dhcp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "cli/command.hpp"
#include "cli/exit_code.hpp"
#include "cli/importers/foreign.hpp"

namespace diskless::cli {
namespace {

namespace options = boost::program_options;

constexpr std::array<std::pair<std::string_view, ForeignKind>, 3> kinds{
    {{"dnsmasq", ForeignKind::dnsmasq}, {"dhcpd", ForeignKind::dhcpd}, {"kea", ForeignKind::kea}}};

int wrong(std::string_view what) {
    fmt::print(stderr, "diskless: {}\nusage: diskless import-dhcp FILE [--from dnsmasq|dhcpd|kea] [--group NAME]\n", what);
    return exit_wrong_input;
}

bool is_group(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

}  // namespace

int import_dhcp(const std::vector<std::string>& words) {
    std::string from, group;
    options::options_description known;
    known.add_options()("from", options::value(&from))("group", options::value(&group));
    const ParsedCommand command = parse_command(words, known);
    if (command.verb.empty() || !command.words.empty()) return wrong("import-dhcp wants one file");
    if (!is_group(group)) return wrong(fmt::format("'{}' is no name of a group", group));
    const auto* const named = std::ranges::find(kinds, from, &std::pair<std::string_view, ForeignKind>::first);
    if (!from.empty() && named == kinds.end()) return wrong(fmt::format("'{}' is none of dnsmasq, dhcpd, kea", from));
    std::ifstream in{command.verb, std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    if (!in.is_open() || in.bad()) {
        fmt::print(stderr, "diskless: {}: {}\n", command.verb, std::strerror(errno));
        return exit_failed;
    }
    const ForeignKind kind = from.empty() ? kind_of(text) : named->second;
    const ForeignNetwork network = read_foreign(kind, text);
    for (const std::string& note : network.notes) fmt::print(stderr, "{}: {}\n", command.verb, note);
    if (network.subnets.empty() && network.hosts.empty()) {
        fmt::print(stderr, "diskless: {}: neither subnets nor machines were found; it was read as {}'s, --from says otherwise\n",
                   command.verb, name_of(kind));
        return exit_failed;
    }
    fmt::print("# {} subnets and {} machines of {}'s {}; disklessd --check-config says whether they fit the rest.\n\n{}",
               network.subnets.size(), network.hosts.size(), name_of(kind), command.verb, write_toml(network, group));
    return exit_ok;
}

}  // namespace diskless::cli
