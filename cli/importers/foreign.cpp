#include "cli/importers/foreign.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

namespace diskless::cli {
namespace {

constexpr std::size_t max_name = 63;

bool fits_a_name(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

bool is_domain(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return fits_a_name(c) || c == '.'; });
}

/// "Desk_01.lab.lan" is desk-01; of other letters nothing is left.
std::string our_name(const ForeignHost& host) {
    std::string name;
    for (char c : lower(host.name.substr(0, host.name.find('.')))) {
        if (c == '_' || c == ' ') c = '-';
        if (fits_a_name(c)) name += c;
    }
    name.erase(0, name.find_first_not_of('-'));
    name.resize(std::min(name.size(), max_name));
    name.resize(name.find_last_not_of('-') + 1);
    if (!name.empty()) return name;
    if (host.macs.empty()) return "client";
    std::string mac = host.macs.front().text('-');
    std::erase(mac, '-');
    return "mac-" + mac;
}

std::string unique(std::string name, std::set<std::string>& taken) {
    std::string candidate = name;
    for (unsigned number = 2; !taken.insert(candidate).second; ++number) {
        const std::string suffix = fmt::format("-{}", number);
        candidate = name.substr(0, max_name - suffix.size()) + suffix;
    }
    return candidate;
}

template<class T, class Print>
std::string list_of(const std::vector<T>& values, const Print& print) {
    std::string list;
    for (const T& value : values) fmt::format_to(std::back_inserter(list), "{}\"{}\"", list.empty() ? "" : ", ", print(value));
    return "[" + list + "]";
}

std::string duration(std::chrono::seconds time) {
    const auto count = time.count();
    if (count % 3600 == 0) return fmt::format("{}h", count / 3600);
    return count % 60 == 0 ? fmt::format("{}m", count / 60) : fmt::format("{}s", count);
}

std::string text_of(const ForeignSubnet& subnet) {
    std::string out = fmt::format("[[dhcp.subnet]]\nnetwork = \"{}\"\n", subnet.network.text());
    const auto range = [](const Ipv4Range& pool) { return pool.text(); };
    const auto address = [](Ipv4Address a) { return a.text(); };
    auto to = std::back_inserter(out);
    if (!subnet.pools.empty()) fmt::format_to(to, "pool = {}\n", list_of(subnet.pools, range));
    if (subnet.router) fmt::format_to(to, "router = \"{}\"\n", *subnet.router);
    if (!subnet.dns.empty()) fmt::format_to(to, "dns = {}\n", list_of(subnet.dns, address));
    if (is_domain(subnet.domain)) fmt::format_to(to, "domain = \"{}\"\n", subnet.domain);
    if (subnet.lease_time) fmt::format_to(to, "lease_time = \"{}\"\n", duration(*subnet.lease_time));
    return out + "\n";
}

}  // namespace

std::string_view name_of(ForeignKind kind) noexcept {
    switch (kind) {
        case ForeignKind::dnsmasq: return "dnsmasq";
        case ForeignKind::dhcpd: return "ISC dhcpd";
        case ForeignKind::kea: return "Kea";
    }
    return {};
}

ForeignKind kind_of(std::string_view text) noexcept {
    if (text.contains("\"Dhcp4\"")) return ForeignKind::kea;
    // Its statements end with semicolons, and blocks have braces; dnsmasq knows neither.
    const bool has_blocks = text.contains('{') && text.contains('}') && text.contains(';');
    return has_blocks ? ForeignKind::dhcpd : ForeignKind::dnsmasq;
}

ForeignNetwork read_foreign(ForeignKind kind, std::string_view text) {
    switch (kind) {
        case ForeignKind::dnsmasq: return read_dnsmasq(text);
        case ForeignKind::dhcpd: return read_dhcpd(text);
        case ForeignKind::kea: return read_kea(text);
    }
    return {};
}

std::string write_toml(const ForeignNetwork& network, std::string_view group) {
    std::string out;
    for (const ForeignSubnet& subnet : network.subnets) out += text_of(subnet);
    std::set<std::string> names;
    for (const ForeignHost& host : network.hosts) {
        const std::string name = unique(our_name(host), names);
        auto to = std::back_inserter(out);
        fmt::format_to(to, "[[client]]\nname = \"{}\"\n", name);
        if (host.macs.size() == 1) fmt::format_to(to, "mac = \"{}\"\n", host.macs.front());
        if (host.macs.size() > 1) fmt::format_to(to, "mac = {}\n", list_of(host.macs, [](const MacAddress& mac) { return mac.text(); }));
        if (host.address) fmt::format_to(to, "address = \"{}\"\n", *host.address);
        // Without a group it has no disk yet, and boots as it did before.
        out += group.empty() ? std::string{"boot = \"local\"\n\n"} : fmt::format("group = \"{}\"\n\n", group);
    }
    return out;
}

std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view white = " \t\r\n";
    const auto first = text.find_first_not_of(white);
    return first == std::string_view::npos ? std::string_view{} : text.substr(first, text.find_last_not_of(white) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find(separator);
        parts.push_back(trimmed(text.substr(0, end)));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::string lower(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

std::optional<unsigned> prefix_length(Ipv4Address mask) noexcept {
    const auto ones = static_cast<unsigned>(std::countl_one(mask.value));
    return std::popcount(mask.value) == static_cast<int>(ones) ? std::optional{ones} : std::nullopt;
}

std::optional<Ipv4Network> network_around(Ipv4Address address, unsigned prefix) {
    if (prefix > 32) return std::nullopt;
    const std::uint32_t mask = prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix);
    return Ipv4Network::parse(fmt::format("{}/{}", Ipv4Address{address.value & mask}, prefix));
}

}  // namespace diskless::cli
