// Beside another DHCP server: who gets an offer, what it says and what it never says.
#include "services/dhcp/proxy.hpp"
#include "scene.hpp"
#include "services/dhcp/delivery.hpp"
#include "services/dhcp/offer_watch.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;

namespace {

struct Proxy {
    boot::Catalog catalog{clients()};
    ProxyResponder responder;

    explicit Proxy(config::UnknownPolicy policy = config::UnknownPolicy::ignore)
        : responder{{.address = server_address, .target_prefix = "iqn.2026-11.lan.lab"}, {.policy = policy, .group = "desks"}} {}

    Decision dhcp(const Packet& packet) {
        request = packet.request();
        return responder.on_dhcp_port(request, catalog);
    }
    Decision boot_server(const Packet& packet) {
        request = packet.request();
        return responder.on_boot_server_port(request, catalog);
    }
    wire::Request request;  // what decisions look into
};

Packet rom(MessageType type, MacAddress mac = machine(1)) {
    return Packet::of(type, mac)
        .with(Option::vendor_class, "PXEClient:Arch:00007:UNDI:003000")
        .with(Option::client_system_architecture, std::string{"\0\7", 2})
        .with(Option::client_machine_identifier, std::string(17, '\0'));
}

}  // namespace

TEST_CASE("proxy: an offer says what to boot, and gives no address") {
    Proxy proxy;
    const Decision decision = proxy.dhcp(rom(MessageType::discover));
    const Read offer = read(decision);
    CHECK(offer.type() == MessageType::offer);
    CHECK(offer.yiaddr().is_unspecified());
    CHECK(offer.siaddr() == server_address);
    CHECK(offer.file() == "snponly.efi");
    CHECK(offer.get(Option::server_identifier) == octets(server_address));
    CHECK(offer.get(Option::vendor_class) == "PXEClient");
    CHECK(offer.get(Option::vendor_specific) == "\x06\x01\x08\xff");
    CHECK(offer.get(Option::client_machine_identifier) == std::string(17, '\0'));
    for (const Option code : {Option::lease_time, Option::subnet_mask, Option::router, Option::domain_name_server, Option::host_name})
        CHECK_FALSE(offer.has(code));
    // A machine without an address hears broadcasts only.
    CHECK(delivery_of(decision.reply.header, decision.reply_type, true).kind == Delivery::Kind::broadcast);
}

TEST_CASE("proxy: iPXE takes an offer of the class PXEClient only, and finds its script there") {
    Proxy proxy;
    Packet packet = Packet::of(MessageType::discover).with(Option::user_class, "iPXE").with(Option::ipxe, "\x13\x01\x01\x11\x01\x01");
    const Read offer = read(proxy.dhcp(packet));
    CHECK(offer.get(Option::vendor_class) == "PXEClient");
    CHECK(offer.file() == "http://192.168.77.1:8080/boot.ipxe?mac=52-54-00-00-00-01");
    CHECK(offer.get(Option::initiator_iqn) == "iqn.2026-11.lan.lab.initiator:desk-01");
    CHECK_FALSE(offer.has(Option::ipxe));  // it is to wait for the other server's offer
}

TEST_CASE("proxy: UEFI HTTP boot gets its URL") {
    Proxy proxy;
    Packet packet = Packet::of(MessageType::discover).with(Option::vendor_class, "HTTPClient:Arch:00016:UNDI:003000");
    packet.with(Option::client_system_architecture, std::string{"\0\x10", 2});
    const Read offer = read(proxy.dhcp(packet));
    CHECK(offer.get(Option::vendor_class) == "HTTPClient");
    CHECK(offer.get(Option::bootfile_name) == std::string("http://192.168.77.1:8080/boot/snponly.efi") + '\0');
}

TEST_CASE("proxy: the boot server's port answers a machine that has its address") {
    Proxy proxy;
    Packet packet = rom(MessageType::request);
    packet.ciaddr = ip("192.168.77.150");
    const Decision decision = proxy.boot_server(packet);
    CHECK(decision.address == ip("192.168.77.150"));
    const Read ack = read(decision);
    CHECK(ack.type() == MessageType::ack);
    CHECK(ack.file() == "snponly.efi");
    CHECK(ack.yiaddr().is_unspecified());
    CHECK(proxy.boot_server(rom(MessageType::discover)).reason == "not_for_boot_servers");
    CHECK(proxy.boot_server(rom(MessageType::request).with(Option::server_identifier, ip("192.168.77.9"))).reason == "chose_other_server");
}

TEST_CASE("proxy: systems, strangers and machines with nothing to boot get no offer") {
    Proxy proxy;
    CHECK(proxy.dhcp(Packet::of(MessageType::discover)).reason == "does_not_boot");
    CHECK(proxy.dhcp(Packet::of(MessageType::discover).with(Option::vendor_class, "Linux ipconfig")).reason == "does_not_boot");
    CHECK(proxy.dhcp(rom(MessageType::discover, machine(99))).reason == "unknown_client");
    CHECK(proxy.dhcp(rom(MessageType::release)).reason == "not_for_proxies");
    Proxy menu{config::UnknownPolicy::menu};
    CHECK(read(menu.dhcp(rom(MessageType::discover, machine(99)))).file() == "snponly.efi");
    Proxy enroll{config::UnknownPolicy::enroll};
    CHECK(enroll.dhcp(rom(MessageType::discover, machine(99))).action == Decision::Action::enroll);
}

TEST_CASE("proxy: a REQUEST to the other server tells which address the machine is about to use") {
    Proxy proxy;
    Packet packet = Packet::of(MessageType::request).with(Option::requested_address, ip("192.168.77.160"));
    packet.with(Option::server_identifier, ip("192.168.77.2"));
    const Decision decision = proxy.dhcp(packet);
    CHECK(decision.action == Decision::Action::none);
    CHECK(decision.address == ip("192.168.77.160"));
    REQUIRE(decision.client != nullptr);
    CHECK(decision.client->name == "desk-01");
}

TEST_CASE("offers that are not taken are noticed once an attempt") {
    using Verdict = OfferWatch::Verdict;
    OfferWatch watch;
    const OfferWatch::Time now{1h};
    CHECK(watch.offered(machine(1), 7, now) == Verdict::first);
    CHECK(watch.offered(machine(1), 7, now + 4s) == Verdict::again);
    CHECK(watch.offered(machine(1), 7, now + 12s) == Verdict::again);
    CHECK(watch.offered(machine(1), 7, now + 28s) == Verdict::ignored);
    CHECK(watch.offered(machine(1), 7, now + 60s) == Verdict::again);
    CHECK(watch.offered(machine(1), 8, now + 61s) == Verdict::first);  // a new attempt
    watch.taken(machine(1));
    CHECK(watch.offered(machine(1), 8, now + 62s) == Verdict::first);
    // A flood of machines is forgotten again, and no more are remembered than the limit says.
    for (unsigned i = 0; i < 3 * OfferWatch::max_machines; ++i) (void)watch.offered(machine(1000 + i), 1, now + 63s);
    CHECK(watch.offered(machine(1000), 1, now + 64s) == Verdict::again);
    CHECK(watch.offered(machine(1000 + 2 * OfferWatch::max_machines), 1, now + 64s) == Verdict::first);
}
