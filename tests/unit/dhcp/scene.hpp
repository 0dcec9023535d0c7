// A network for the responder's tests: one server, two subnets, a few clients, and a clock that the test turns.
#pragma once

#include "packets.hpp"

namespace diskless::dhcp::test {

using namespace std::chrono_literals;

inline const Ipv4Address server_address = ip("192.168.77.1");

inline boot::CatalogData clients() {
    const std::vector<boot::Disk> disk{{.lun = 0, .source = boot::FileSource{.path = "d.img"}}};
    boot::CatalogData data;
    data.clients.push_back({.name = "desk-01", .macs = {machine(1)}, .address = ip("192.168.77.11"), .settings = {.disks = disk}});
    data.clients.push_back({.name = "desk-02", .macs = {machine(2)}, .settings = {.disks = disk}});  // without a reservation
    data.clients.push_back({.name = "desk-03", .macs = {machine(3)}, .settings = {.disks = disk}});
    data.clients.push_back({.name = "server-04",
                            .macs = {machine(4)},
                            .uuid = Uuid::parse("00112233-4455-6677-8899-aabbccddeeff"),
                            .address = ip("192.168.77.14"),
                            .settings = {.disks = disk}});
    return data;
}

inline config::Dhcp network() {
    config::Dhcp dhcp;
    dhcp.subnets.push_back({.network = Ipv4Network::parse("192.168.77.0/24").value(),
                            .pool = {Ipv4Range::parse("192.168.77.100-192.168.77.103").value()},
                            .router = ip("192.168.77.254"),
                            .dns = {ip("192.168.77.1"), ip("9.9.9.9")},
                            .domain = "lab.lan",
                            .lease_time = 3600s});
    dhcp.subnets.push_back({.network = Ipv4Network::parse("10.5.0.0/16").value(),
                            .pool = {Ipv4Range::parse("10.5.1.0-10.5.1.99").value()},
                            .lease_time = 7200s});
    return dhcp;
}

struct Scene {
    boot::Catalog catalog;
    Responder responder;
    Seconds now = at(0);
    bool store_works = true;

    explicit Scene(config::UnknownPolicy policy = config::UnknownPolicy::ignore, const config::Dhcp& dhcp = network(),
                   boot::CatalogData data = clients())
        : catalog{std::move(data)},
          responder{{.dhcp = dhcp,
                     .unknown_clients = {.policy = policy, .group = "desks"},
                     .server = {.address = server_address, .target_prefix = "iqn.2026-11.lan.lab"}}} {}

    /// What the service does with a request, the store included.
    Decision say(const Packet& packet) {
        const wire::Request request = packet.request();
        Decision decision = responder.respond(request, catalog, now);
        if (decision.store && store_works)
            responder.leases().committed(decision.store->address, decision.store->mac, decision.store->expires);
        // Views into the request do not outlive this call.
        relay_ = std::string{as_text(decision.reply.relay_agent_information)};
        decision.reply.relay_agent_information = as_bytes(relay_);
        return decision;
    }
    Read answer(const Packet& packet) { return read(say(packet)); }
    std::string_view silent(const Packet& packet) {
        const Decision decision = say(packet);
        CHECK(decision.action == Decision::Action::none);
        return decision.reason;
    }

    /// DISCOVER, OFFER, REQUEST, ACK; the address.
    Ipv4Address bind(MacAddress mac) {
        const Ipv4Address offered = answer(Packet::of(MessageType::discover, mac)).yiaddr();
        const Read ack = answer(selecting(offered, mac));
        REQUIRE(ack.type() == MessageType::ack);
        REQUIRE(ack.yiaddr() == offered);
        return offered;
    }

    static Packet selecting(Ipv4Address address, MacAddress mac = machine(1), Ipv4Address server = server_address) {
        return Packet::of(MessageType::request, mac).with(Option::server_identifier, server).with(Option::requested_address, address);
    }
    static Packet init_reboot(Ipv4Address address, MacAddress mac = machine(1)) {
        return Packet::of(MessageType::request, mac).with(Option::requested_address, address);
    }
    static Packet renewing(Ipv4Address address, MacAddress mac = machine(1)) {
        Packet packet = Packet::of(MessageType::request, mac);
        packet.ciaddr = address;
        return packet;
    }
    static Packet release(Ipv4Address address, MacAddress mac = machine(1)) {
        Packet packet = Packet::of(MessageType::release, mac);
        packet.ciaddr = address;
        return packet.with(Option::server_identifier, server_address);
    }
    static Packet decline(Ipv4Address address, MacAddress mac = machine(1)) {
        return Packet::of(MessageType::decline, mac)
            .with(Option::requested_address, address)
            .with(Option::server_identifier, server_address);
    }

 private:
    std::string relay_;
};

}  // namespace diskless::dhcp::test
