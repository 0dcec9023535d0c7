// Other servers' configurations: what is taken over, what is noted, and that our own reader accepts the result.
#include "cli/importers/foreign.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "config/config.hpp"

using namespace diskless;
using namespace diskless::cli;

namespace {

Ipv4Address ip(std::string_view text) { return Ipv4Address::parse(text).value(); }

bool notes(const ForeignNetwork& network, std::string_view words) {
    return std::ranges::any_of(network.notes, [&](const std::string& note) { return note.contains(words); });
}

/// What our configuration says of it, behind an interface.
config::Config ours(const ForeignNetwork& network) {
    return config::parse("[server]\ninterface = \"eth1\"\n" + write_toml(network, ""), "imported.toml");
}

constexpr std::string_view dnsmasq = R"(# a lab
interface=eth1
domain=Lab.LAN,192.168.77.0/24
dhcp-range=set:lab,192.168.77.100,192.168.77.199,255.255.255.0,12h
dhcp-range=10.5.1.10,10.5.1.20,45m
dhcp-range=::1000,::2000,constructor:eth1
dhcp-option=option:router,192.168.77.254
dhcp-option=6,192.168.77.1,9.9.9.9
dhcp-option=42,192.168.77.1
dhcp-host=52:54:00:12:34:01,desk-01,192.168.77.11,infinite
dhcp-host=52:54:00:12:34:02,52:54:00:12:34:03,set:big,192.168.77.12,Node_02   # two cards
dhcp-host=id:01:02:03,192.168.77.13
dhcp-host=52:54:00:12:34:09,ignore
dhcp-boot=pxelinux.0
)";

constexpr std::string_view dhcpd = R"(
authoritative;
option domain-name "lab.lan";
option ntp-servers 192.168.77.1;
default-lease-time 600;
subnet 192.168.77.0 netmask 255.255.255.0 {
  range 192.168.77.100 192.168.77.150;
  pool { range dynamic-bootp 192.168.77.160 192.168.77.170; }
  option routers 192.168.77.254;   # the router
  option domain-name-servers 192.168.77.1, 9.9.9.9;
  default-lease-time 43200;
}
shared-network upstairs {
  subnet 10.5.0.0 netmask 255.255.0.0 { }
  subnet 10.6.0.0 netmask 255.0.255.0 { range 10.6.0.1 10.6.0.9; }
}
group {
  filename "pxelinux.0";
  host desk-01 { hardware ethernet 52:54:00:12:34:01; fixed-address 192.168.77.11; }
  host "Desk 01" { hardware ethernet 52:54:00:12:34:02; fixed-address desk.lab.lan; }
}
class "phones" { match if substring(hardware, 1, 3) = 00:11:22; }
host nobody { fixed-address 192.168.77.13; }
)";

constexpr std::string_view kea = R"({
# the house
"Dhcp4": {
  "valid-lifetime": 4000, // seconds
  "option-data": [ { "name": "domain-name", "data": "lab.lan" }, { "name": "ntp-servers", "data": "192.168.77.1" } ],
  "subnet4": [ { "id": 1, "subnet": "192.168.77.0/24",
      "pools": [ { "pool": "192.168.77.100 - 192.168.77.199" }, { "pool": "192.168.77.208/28" } ],
      "option-data": [ { "name": "routers", "data": "192.168.77.254" }, { "name": "domain-name-servers", "data": "192.168.77.1, 9.9.9.9" } ],
      "reservations": [ { "hw-address": "52:54:00:12:34:01", "ip-address": "192.168.77.11", "hostname": "desk-01.lab.lan" },
                        { "client-id": "01:02", "ip-address": "192.168.77.12" } ], }, ],
  "shared-networks": [ { "name": "up", "subnet4": [ { "subnet": "10.5.0.0/16", "valid-lifetime": 60 }, { "subnet": "ten" } ] } ],
  "reservations": [ { "hw-address": "52:54:00:12:34:02" } ]
} })";

}  // namespace

TEST_CASE("each kind is known by what it looks like") {
    CHECK(kind_of(dnsmasq) == ForeignKind::dnsmasq);
    CHECK(kind_of(dhcpd) == ForeignKind::dhcpd);
    CHECK(kind_of(kea) == ForeignKind::kea);
    CHECK(kind_of("") == ForeignKind::dnsmasq);
}

TEST_CASE("dnsmasq: hosts, ranges and what it tells them") {
    const ForeignNetwork network = read_dnsmasq(dnsmasq);
    REQUIRE(network.subnets.size() == 2);
    CHECK(network.subnets[0].network.text() == "192.168.77.0/24");
    CHECK(network.subnets[0].pools == std::vector{Ipv4Range{ip("192.168.77.100"), ip("192.168.77.199")}});
    CHECK(network.subnets[0].router == ip("192.168.77.254"));
    CHECK(network.subnets[0].dns == std::vector{ip("192.168.77.1"), ip("9.9.9.9")});
    CHECK(network.subnets[0].domain == "lab.lan");
    CHECK(network.subnets[0].lease_time == std::chrono::hours{12});
    CHECK(network.subnets[1].network.text() == "10.5.1.0/24");
    CHECK_FALSE(network.subnets[1].router);
    CHECK(network.subnets[1].lease_time == std::chrono::minutes{45});
    REQUIRE(network.hosts.size() == 2);
    CHECK(network.hosts[0].name == "desk-01");
    CHECK(network.hosts[0].address == ip("192.168.77.11"));
    CHECK(network.hosts[1].macs.size() == 2);
    CHECK(network.hosts[1].name == "Node_02");
    CHECK(notes(network, "line 5: a range without a netmask"));
    CHECK(notes(network, "line 6: a range of IPv6"));
    CHECK(notes(network, "line 9: option 42"));
    CHECK(notes(network, "line 12: a reservation by client id"));
    CHECK(notes(network, "line 13: a host that is to be ignored"));
    CHECK(notes(network, "line 14: dhcp-boot"));
    const config::Config config = ours(network);
    REQUIRE(config.declared.clients.size() == 2);
    CHECK(config.declared.clients[1].name == "node-02");
    CHECK(config.declared.clients[1].macs.size() == 2);
    // A file of --dhcp-hostsfile has the values alone.
    CHECK(read_dnsmasq("52:54:00:12:34:01,desk-01,192.168.77.11\n").hosts.size() == 1);
}

TEST_CASE("dhcpd: blocks inherit, and hosts are found wherever they are") {
    const ForeignNetwork network = read_dhcpd(dhcpd);
    REQUIRE(network.subnets.size() == 2);
    CHECK(network.subnets[0].pools ==
          std::vector{Ipv4Range{ip("192.168.77.100"), ip("192.168.77.150")}, Ipv4Range{ip("192.168.77.160"), ip("192.168.77.170")}});
    CHECK(network.subnets[0].router == ip("192.168.77.254"));
    CHECK(network.subnets[0].dns == std::vector{ip("192.168.77.1"), ip("9.9.9.9")});
    CHECK(network.subnets[0].domain == "lab.lan");
    CHECK(network.subnets[0].lease_time == std::chrono::hours{12});
    CHECK(network.subnets[1].network.text() == "10.5.0.0/16");
    CHECK(network.subnets[1].lease_time == std::chrono::minutes{10});
    REQUIRE(network.hosts.size() == 2);
    CHECK(network.hosts[0].address == ip("192.168.77.11"));
    CHECK_FALSE(network.hosts[1].address);
    CHECK(notes(network, "line 4: option ntp-servers"));
    CHECK(notes(network, "subnet 10.6.0.0 has no netmask that can be read"));
    CHECK(notes(network, "fixed-address desk.lab.lan is a name"));
    CHECK(notes(network, "'class' is not taken over"));
    CHECK(notes(network, "host nobody has no hardware ethernet"));
    const config::Config config = ours(network);
    REQUIRE(config.declared.clients.size() == 2);
    CHECK(config.declared.clients[0].name == "desk-01");
    CHECK(config.declared.clients[1].name == "desk-01-2");  // "Desk 01" becomes the same
}

TEST_CASE("Kea: JSON with comments, subnets in shared networks, reservations inside and outside") {
    const ForeignNetwork network = read_kea(kea);
    REQUIRE(network.subnets.size() == 2);
    CHECK(network.subnets[0].pools ==
          std::vector{Ipv4Range{ip("192.168.77.100"), ip("192.168.77.199")}, Ipv4Range{ip("192.168.77.208"), ip("192.168.77.223")}});
    CHECK(network.subnets[0].router == ip("192.168.77.254"));
    CHECK(network.subnets[0].domain == "lab.lan");
    CHECK(network.subnets[0].lease_time == std::chrono::seconds{4000});
    CHECK(network.subnets[1].lease_time == std::chrono::seconds{60});
    REQUIRE(network.hosts.size() == 2);
    CHECK(notes(network, "option ntp-servers"));
    CHECK(notes(network, "the reservation of 192.168.77.12 has no hw-address"));
    CHECK(notes(network, "subnet 'ten' cannot be read"));
    const config::Config config = ours(network);
    REQUIRE(config.declared.clients.size() == 2);
    const auto has_name = [&](std::string_view name) {
        return std::ranges::any_of(config.declared.clients, [&](const boot::ClientEntry& client) { return client.name == name; });
    };
    CHECK(has_name("desk-01"));
    CHECK(has_name("mac-525400123402"));
}

TEST_CASE("what cannot be read is a note, never more") {
    for (const std::string_view text : {"", "}", "{", "host", "host x {", "subnet 1 netmask 2 {", "\"", "{{{{", "dhcp-host", "dhcp-range=",
                                        "{\"Dhcp4\":1}", "{\"Dhcp4\":{\"subnet4\":[1,{}]}}", "pool { range 1.2.3.4; } }", "#"}) {
        for (const auto kind : {ForeignKind::dnsmasq, ForeignKind::dhcpd, ForeignKind::kea}) {
            const ForeignNetwork network = read_foreign(kind, text);
            CHECK(network.hosts.empty());
        }
    }
    // No text of a foreign file gets into our tables as more than a name.
    ForeignNetwork network{.subnets = {{.network = *network_around(ip("10.0.0.0"), 8), .domain = "a\"\nmode = \"off"}},
                           .hosts = {{.name = "\"]\n[evil]", .macs = {MacAddress::parse("52:54:00:12:34:01").value()}}}};
    CHECK(write_toml(network, "") ==
          "[[dhcp.subnet]]\nnetwork = \"10.0.0.0/8\"\n\n[[client]]\nname = \"evil\"\nmac = \"52:54:00:12:34:01\"\nboot = \"local\"\n\n");
}
