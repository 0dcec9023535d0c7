// [dhcp] and [[dhcp.subnet]].
#include <array>

#include "config/names.hpp"
#include "config/tables.hpp"

namespace diskless::config {
namespace {

constexpr std::array<Choice<DhcpMode>, 3> modes{{{"server", DhcpMode::server}, {"proxy", DhcpMode::proxy}, {"off", DhcpMode::off}}};
constexpr std::uint64_t max_leases = 16'777'216;  // a /8's worth

constexpr std::string_view address_form = "an IPv4 address such as \"192.168.77.1\"";
constexpr std::string_view network_form = "a network with its prefix length and host bits zero, such as \"192.168.77.0/24\"";
constexpr std::string_view domain_form = "a domain name in lower case such as \"lab.lan\"";
constexpr std::string_view range_form = "a range such as \"192.168.77.100-192.168.77.199\", lower end first";

std::optional<std::string> parse_domain(std::string_view text) noexcept {
    return is_domain_name(text) ? std::optional{std::string{text}} : std::nullopt;
}

void read_subnet(TableReader table, Dhcp& dhcp, Places& places) {
    Subnet subnet;
    SubnetPlaces where;
    std::optional<Ipv4Network> network;
    table.require("network", "network = \"192.168.77.0/24\"");
    where.network = table.parsed("network", network, &Ipv4Network::parse, network_form);
    where.pool = table.list("pool", subnet.pool, &Ipv4Range::parse, range_form);
    where.router = table.parsed("router", subnet.router, &Ipv4Address::parse, address_form);
    table.list("dns", subnet.dns, &Ipv4Address::parse, address_form);
    std::optional<std::string> domain;
    table.parsed("domain", domain, parse_domain, domain_form);
    subnet.domain = domain.value_or("");
    table.list("options", subnet.options, parse_dhcp_option, dhcp_option_form);
    table.duration("lease_time", subnet.lease_time, 1s, 24h * 365);
    table.finish();
    if (!network) return;  // said already; without it nothing else can be judged
    subnet.network = *network;
    dhcp.subnets.push_back(std::move(subnet));
    places.subnets.push_back(std::move(where));
}

/// 64 bits are left to the machines' own identifiers.
std::optional<Ipv6Network> parse_network6(std::string_view text) noexcept {
    const auto network = Ipv6Network::parse(text);
    return network && network->prefix_length <= 64 ? network : std::nullopt;
}

void read_subnet6(TableReader table, Dhcp& dhcp, Places& places) {
    Subnet6 subnet;
    std::optional<Ipv6Network> network;
    table.require("network", "network = \"fd77::/64\"");
    const Place where =
        table.parsed("network", network, parse_network6, "an IPv6 network of 64 bits at most, host bits zero, such as \"fd77::/64\"");
    table.list("dns", subnet.dns, &Ipv6Address::parse, "an IPv6 address such as \"fd77::1\"");
    std::optional<std::string> domain;
    table.parsed("domain", domain, parse_domain, domain_form);
    subnet.domain = domain.value_or("");
    table.duration("lease_time", subnet.lease_time, 1min, 24h * 365);
    table.finish();
    if (!network) return;
    subnet.network = *network;
    dhcp.subnets6.push_back(std::move(subnet));
    places.subnets6.push_back(where);
}

}  // namespace

void read_dhcp(TableReader table, Dhcp& dhcp, Places& places) {
    table.choice<DhcpMode>("mode", dhcp.mode, modes);
    places.services.dhcp_port = table.whole("port", dhcp.port, 1, 65534);  // clients are answered on port + 1
    table.boolean("router_advertisement", dhcp.router_advertisement);
    table.boolean("conflict_probe", dhcp.conflict_probe);
    table.boolean("authoritative", dhcp.authoritative);
    table.whole("max_leases", dhcp.max_leases, 1, max_leases);
    std::vector<boot::DhcpOption> everywhere;
    table.list("options", everywhere, parse_dhcp_option, dhcp_option_form);
    for (TableReader& subnet : table.tables("subnet", "[[dhcp.subnet]]")) read_subnet(std::move(subnet), dhcp, places);
    for (TableReader& subnet : table.tables("subnet6", "[[dhcp.subnet6]]")) read_subnet6(std::move(subnet), dhcp, places);
    for (Subnet& subnet : dhcp.subnets) subnet.options = boot::with_defaults(std::move(subnet.options), everywhere);
    table.finish();
}

}  // namespace diskless::config
