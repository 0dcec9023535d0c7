// Any conversation with the responder, leases seeded: no crash, and the promises hold. No reply exceeds what the client takes; no ACK
// without a lease that the store has or is given first; no address for two machines at a time; nobody gets another's reservation.
// Input: one byte for policy and subnets, then records of {control byte, two bytes of length, datagram}.
#include <cstdlib>
#include <map>

#include "services/dhcp/responder.hpp"

namespace {

using namespace diskless;
using namespace diskless::dhcp;
using namespace std::chrono_literals;

constexpr Seconds start{std::chrono::seconds{1'800'000'000}};
constexpr Ipv4Address server{0x0a4d0001};  // 10.77.0.1, as in the captures

void require(bool condition) {
    if (!condition) std::abort();
}

MacAddress machine(unsigned char last) {
    MacAddress mac = MacAddress::parse("52:54:00:e2:e0:00").value();
    mac.octets[5] = std::byte{last};
    return mac;
}

const boot::Catalog& catalog() {
    static const boot::Catalog made = [] {
        boot::CatalogData data;
        data.clients.push_back({.name = "c1", .macs = {machine(1)}, .address = Ipv4Address{server.value + 100}});
        data.clients.push_back({.name = "c2", .macs = {machine(2)}});
        data.clients.push_back({.name = "c3", .macs = {machine(3), machine(4)}, .address = Ipv4Address{server.value + 101}});
        return boot::Catalog{std::move(data)};
    }();
    return made;
}

Responder make_responder(unsigned char selector) {
    config::Dhcp dhcp;
    dhcp.max_leases = 6;
    dhcp.authoritative = (selector & 4) != 0;
    dhcp.subnets.push_back({.network = {Ipv4Address{server.value - 1}, 24},
                            .pool = {{Ipv4Address{server.value + 99}, Ipv4Address{server.value + 104}}},
                            .router = server,
                            .lease_time = (selector & 8) != 0 ? 30s : 3600s});
    dhcp.subnets.push_back({.network = {Ipv4Address{0x0a050000}, 16}, .pool = {{Ipv4Address{0x0a050100}, Ipv4Address{0x0a050101}}}});
    Responder responder{{.dhcp = dhcp,
                         .unknown_clients = {.policy = static_cast<config::UnknownPolicy>(selector % 3)},
                         .server = {.address = server, .target_prefix = "iqn.2026-11.fuzz"}}};
    responder.leases().load(
        {{.address = Ipv4Address{server.value + 102}, .mac = machine(2), .expires = start + 600s},
         {.address = Ipv4Address{server.value + 103}, .mac = machine(9), .state = boot::LeaseState::declined, .expires = start + 60s}});
    return responder;
}

/// What the world outside remembers of the responder's promises.
struct Promises {
    struct Promise {
        MacAddress mac;
        Seconds until;
    };
    std::map<Ipv4Address, Promise> acked;
    std::map<Ipv4Address, Lease> disk;

    void check_ack(const Decision& decision, const MacAddress& mac, Seconds until, Seconds now) {
        const auto stored = disk.find(decision.address);
        require(stored != disk.end() && stored->second.mac == mac && stored->second.state == boot::LeaseState::bound);
        require(stored->second.expires >= until);
        const auto before = acked.find(decision.address);
        const boot::Client* owner = catalog().by_address(decision.address);
        const bool reserved = owner != nullptr && owner == catalog().by_mac(mac);  // a reservation moves with its client
        require(before == acked.end() || before->second.mac == mac || before->second.until <= now || reserved);
        require(owner == nullptr || reserved);
        acked[decision.address] = {mac, until};
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    ByteReader input{std::as_bytes(std::span{bytes, size})};
    const unsigned char selector = input.u8();
    Responder responder = make_responder(selector);
    Promises world;
    for (const Lease& lease : responder.leases().all()) world.disk[lease.address] = lease;
    Seconds now = start;
    while (input.remaining() >= 3) {
        const std::uint8_t control = input.u8();
        const std::size_t length = input.be<std::uint16_t>();
        const ByteSpan datagram = input.bytes(std::min(length, input.remaining()));
        now += std::chrono::seconds{(control & 0x3f) * (control & 0x3f)};
        const bool store_works = (control & 0x40) == 0;
        const auto request = wire::decode(datagram);
        if (!request) continue;
        const Decision decision = responder.respond(*request, catalog(), now);
        require(!decision.reason.empty());
        if (decision.store) {
            if (store_works) {
                world.disk[decision.store->address] = *decision.store;
                responder.leases().committed(decision.store->address, decision.store->mac, decision.store->expires);
            }
            if (decision.store->state != boot::LeaseState::bound) world.acked.erase(decision.store->address);
        }
        require(responder.leases().size() <= 6 + 2 + 64);  // the pool's, and held reservations
        if (decision.action != Decision::Action::reply) continue;
        std::vector<std::byte> reply;
        if (!wire::encode(decision.reply, 548, reply)) continue;
        require(reply.size() <= 548);
        if (decision.reply_type != wire::MessageType::ack || decision.reason != "acked") continue;
        if (decision.store && !store_works) continue;  // not sent
        const bool here = responder.leases().in_pool(1, decision.address);
        world.check_ack(decision, request->header.chaddr, now + (here ? 12h : (selector & 8) != 0 ? 30s : 3600s), now);
    }
    return 0;
}
