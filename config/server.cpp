// [server] and [unknown_clients].
#include <algorithm>
#include <array>
#include <chrono>

#include "config/names.hpp"
#include "config/tables.hpp"

namespace diskless::config {
namespace {

constexpr std::array<Choice<std::string_view>, 6> log_levels{
    {{"trace", "trace"}, {"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}, {"off", "off"}}};
constexpr std::array<Choice<std::string_view>, 3> io_backends{{{"auto", "auto"}, {"uring", "uring"}, {"threads", "threads"}}};
constexpr std::array<Choice<UnknownPolicy>, 3> policies{
    {{"ignore", UnknownPolicy::ignore}, {"enroll", UnknownPolicy::enroll}, {"menu", UnknownPolicy::menu}}};

constexpr std::uint64_t max_io_threads = 256;
constexpr std::uint64_t max_storage_threads = 1024;

/// As the kernel has it: IFNAMSIZ is 16 with the final zero, and a name is a file name under /sys/class/net.
std::optional<std::string> parse_interface(std::string_view text) noexcept {
    const bool sound = !text.empty() && text.size() < 16 && text != "." && text != ".." &&
                       std::ranges::none_of(text, [](char c) { return c == '/' || c == ' ' || c == ':'; });
    return sound ? std::optional{std::string{text}} : std::nullopt;
}

}  // namespace

void read_server(TableReader table, Server& server, ServicePlaces& places) {
    std::optional<std::string> interface;
    table.parsed("interface", interface, parse_interface, "an interface's name such as \"eth1\"");
    server.interface = interface.value_or("");
    places.server_address =
        table.parsed("address", server.address, &Ipv4Address::parse, "an IPv4 address without prefix length such as \"192.168.77.1\"");
    table.parsed("address6", server.address6, &Ipv6Address::parse, "an IPv6 address without prefix length such as \"fd77::1\"");
    places.data_dir = table.path("data_dir", server.data_dir);
    table.path("api_socket", server.api_socket);
    table.whole("io_threads", server.io_threads, 0, max_io_threads);
    std::string_view log_level = server.log_level;
    table.choice<std::string_view>("log_level", log_level, log_levels);
    server.log_level = log_level;
    table.text("user", server.user);
    std::string_view io = server.io;
    table.choice<std::string_view>("io", io, io_backends);
    server.io = io;
    table.whole("storage_threads", server.storage_threads, 1, max_storage_threads);
    table.finish();
}

void read_unknown_clients(TableReader table, UnknownClients& unknown, ServicePlaces& places) {
    places.unknown_policy = table.choice<UnknownPolicy>("policy", unknown.policy, policies);
    places.unknown_group = table.text("group", unknown.group);
    places.unknown_groups = table.list("groups", unknown.groups, parse_name, "the name of a [[group]]");
    if (!unknown.group.empty() && std::ranges::find(unknown.groups, unknown.group) == unknown.groups.end())
        unknown.groups.insert(unknown.groups.begin(), unknown.group);
    std::optional<std::string> name;
    table.parsed("name", name, parse_name_template, "a name with {mac}, {group}, {n}, {nn} or {nnn} in it such as \"{group}-{nn}\"");
    if (name) unknown.name = *name;
    table.text("password", unknown.password);
    table.finish();
}

}  // namespace diskless::config
