// What replies say: options asked for, options needed, boot options; which subnet a request belongs to; who is served at all.
#include "scene.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;

namespace {

Packet pxe_rom(MacAddress mac = machine(1)) {
    return Packet::of(MessageType::discover, mac)
        .with(Option::vendor_class, "PXEClient:Arch:00000:UNDI:002001")
        .with(Option::client_system_architecture, std::string(2, '\0'))
        .with(Option::client_machine_identifier, std::string(17, '\0'))
        .with(Option::parameter_request_list, "\x01\x03\x42\x43");
}

Packet ipxe(MacAddress mac = machine(1)) {
    return Packet::of(MessageType::discover, mac)
        .with(Option::user_class, "iPXE")
        .with(Option::ipxe, "\x13\x01\x01\x11\x01\x01")
        .with(Option::client_system_architecture, std::string(2, '\0'));
}

}  // namespace

TEST_CASE("only what the client asked for, and what it cannot do without") {
    Scene scene;
    const Read few = scene.answer(Packet::of(MessageType::discover).with(Option::parameter_request_list, "\x06"));
    CHECK(few.get(Option::domain_name_server) == octets(ip("192.168.77.1")) + octets(ip("9.9.9.9")));
    CHECK(few.get(Option::subnet_mask) == octets(ip("255.255.255.0")));
    for (const Option code : {Option::router, Option::domain_name, Option::host_name, Option::broadcast_address})
        CHECK_FALSE(few.has(code));
    const Read all = scene.answer(Packet::of(MessageType::discover));  // no list: everything
    CHECK(all.get(Option::router) == octets(ip("192.168.77.254")));
    CHECK(all.get(Option::domain_name) == "lab.lan");
    CHECK(all.get(Option::host_name) == "desk-01");
    CHECK(all.get(Option::broadcast_address) == octets(ip("192.168.77.255")));
    CHECK(std::ranges::find(all.order, 1) < std::ranges::find(all.order, 3));  // RFC 2132 3.3: the mask before the router
}

TEST_CASE("options that somebody wrote: those that are asked for, the client's before the subnet's, all before our own") {
    config::Dhcp dhcp = network();
    dhcp.subnets[0].options = {{42, "subnet"}, {224, "custom"}, {6, "dns"}};
    boot::CatalogData data = clients();
    data.clients[0].settings.dhcp_options = {{42, "client"}, {12, "a-name"}};
    Scene scene{config::UnknownPolicy::ignore, dhcp, data};
    const Read all = scene.answer(Packet::of(MessageType::discover));
    CHECK(all.options.at(42) == "client");
    CHECK(all.options.at(224) == "custom");
    CHECK(all.get(Option::domain_name_server) == "dns");
    CHECK(all.get(Option::host_name) == "a-name");
    CHECK(all.get(Option::router) == octets(ip("192.168.77.254")));
    const Read few = scene.answer(Packet::of(MessageType::discover).with(Option::parameter_request_list, "\x06"));
    CHECK(few.get(Option::domain_name_server) == "dns");
    CHECK_FALSE(few.options.contains(42));
    const Read other = scene.answer(Packet::of(MessageType::discover, machine(2)));
    CHECK(other.options.at(42) == "subnet");
    CHECK(other.get(Option::host_name) == "desk-02");
}

TEST_CASE("the client identifier comes back (RFC 6842), in refusals too") {
    Scene scene;
    CHECK(scene.answer(Packet::of(MessageType::discover).with(Option::client_identifier, "\x01me")).get(Option::client_identifier) ==
          "\x01me");
    CHECK(scene.answer(Scene::init_reboot(ip("10.9.9.9")).with(Option::client_identifier, "\x01me")).get(Option::client_identifier) ==
          "\x01me");
    CHECK_FALSE(scene.answer(Packet::of(MessageType::discover)).has(Option::client_identifier));
}

TEST_CASE("a NAK says little: no addresses, no boot options") {
    Scene scene;
    Packet packet = Scene::init_reboot(ip("10.9.9.9"));
    packet.with(Option::vendor_class, "PXEClient:Arch:00000:UNDI:002001");
    const Read nak = scene.answer(packet);
    CHECK(nak.order == std::vector{53, 54, 56});
    CHECK(nak.yiaddr().is_unspecified());
    CHECK(nak.siaddr().is_unspecified());
}

TEST_CASE("a PXE ROM gets its loader by field and by option, its class, and no boot server discovery") {
    Scene scene;
    const Read offer = scene.answer(pxe_rom());
    CHECK(offer.siaddr() == server_address);
    CHECK(offer.file() == "undionly.kpxe");
    CHECK(offer.get(Option::bootfile_name) == std::string("undionly.kpxe\0", 14));
    CHECK(offer.get(Option::tftp_server_name) == "192.168.77.1");
    CHECK(offer.get(Option::vendor_class) == "PXEClient");
    CHECK(offer.get(Option::vendor_specific) == "\x06\x01\x08\xff");
    CHECK(offer.get(Option::client_machine_identifier) == std::string(17, '\0'));
    CHECK_FALSE(offer.has(Option::ipxe));
}

TEST_CASE("UEFI HTTP boot gets its URL and its class") {
    Scene scene;
    Packet packet = Packet::of(MessageType::discover).with(Option::vendor_class, "HTTPClient:Arch:00016:UNDI:003000");
    packet.with(Option::client_system_architecture, std::string{"\0\x10", 2});
    const Read offer = scene.answer(packet);
    CHECK(offer.get(Option::vendor_class) == "HTTPClient");
    CHECK(offer.get(Option::bootfile_name) == std::string("http://192.168.77.1:8080/boot/snponly.efi") + '\0');
    CHECK_FALSE(offer.has(Option::vendor_specific));
}

TEST_CASE("iPXE gets its script and its name, and is told not to wait for a proxy") {
    Scene scene;
    const Read offer = scene.answer(ipxe());
    CHECK(offer.file() == "http://192.168.77.1:8080/boot.ipxe?mac=52-54-00-00-00-01");
    CHECK(offer.get(Option::ipxe) == "\xb0\x01\x01");
    CHECK(offer.get(Option::initiator_iqn) == "iqn.2026-11.lan.lab.initiator:desk-01");
    CHECK_FALSE(offer.has(Option::root_path));  // one or the other
    CHECK_FALSE(offer.has(Option::vendor_class));
    Packet without_http = Packet::of(MessageType::discover).with(Option::user_class, "iPXE").with(Option::ipxe, "\x11\x01\x01");
    const Read san = scene.answer(without_http);
    CHECK(san.get(Option::root_path) == "iscsi:192.168.77.1::3260:0:iqn.2026-11.lan.lab:desk-01");
    CHECK(san.file().empty());
    CHECK_FALSE(san.has(Option::bootfile_name));
}

TEST_CASE("an operating system gets no boot options") {
    Scene scene;
    const Read offer = scene.answer(Packet::of(MessageType::discover).with(Option::vendor_class, "Linux ipconfig"));
    CHECK(offer.siaddr().is_unspecified());
    CHECK(offer.file().empty());
    for (const Option code : {Option::bootfile_name, Option::root_path, Option::vendor_class, Option::tftp_server_name})
        CHECK_FALSE(offer.has(code));
}

TEST_CASE("in a small packet the boot options outlive the rest") {
    config::Dhcp dhcp = network();
    dhcp.subnets[0].domain = std::string(200, 'd');
    dhcp.subnets[0].dns.assign(20, ip("9.9.9.9"));
    Scene scene{config::UnknownPolicy::ignore, dhcp};
    Packet packet = ipxe();
    packet.with(Option::client_identifier, std::string(100, 'i'));
    const Decision decision = scene.say(packet);
    const Read small = read(decision, 548);
    CHECK(small.has(Option::bootfile_name));
    CHECK(small.has(Option::initiator_iqn));
    CHECK(small.get(Option::client_identifier).size() == 100);
    CHECK_FALSE(small.has(Option::domain_name));
    CHECK(read(decision, 1472).get(Option::domain_name).size() == 200);
}

// --- subnets and relays ----------------------------------------------------------------------------------------------------------------

TEST_CASE("through a relay: its network's address, its option comes back, and a NAK asks for broadcast") {
    Scene scene;
    Packet packet = Packet::of(MessageType::discover, machine(2));
    packet.giaddr = ip("10.5.0.1");
    packet.with(Option::relay_agent_information, "\x01\x04eth0");
    const Read offer = scene.answer(packet);
    CHECK(offer.yiaddr() == ip("10.5.1.0"));
    CHECK(offer.giaddr() == ip("10.5.0.1"));
    CHECK(offer.flags() == 0);
    CHECK(offer.get(Option::subnet_mask) == octets(ip("255.255.0.0")));
    CHECK(offer.number(Option::lease_time) == 7200);
    CHECK(offer.get(Option::relay_agent_information) == "\x01\x04eth0");
    CHECK(offer.order.back() == 82);
    Packet wrong = Scene::init_reboot(ip("192.168.77.100"), machine(2));
    wrong.giaddr = ip("10.5.0.1");
    const Read nak = scene.answer(wrong);
    CHECK(nak.type() == MessageType::nak);
    CHECK((nak.flags() & 0x8000) != 0);
    CHECK(nak.giaddr() == ip("10.5.0.1"));
    packet.giaddr = ip("10.6.0.1");
    CHECK(scene.silent(packet) == "no_subnet");
}

TEST_CASE("a reservation counts only on its own network") {
    Scene scene;
    Packet packet = Packet::of(MessageType::discover);
    packet.giaddr = ip("10.5.0.1");
    CHECK(scene.answer(packet).yiaddr() == ip("10.5.1.0"));
}

TEST_CASE("link selection (RFC 3527) and subnet selection (RFC 3011) go before our own network") {
    Scene scene;
    Packet linked = Packet::of(MessageType::discover, machine(2));
    linked.giaddr = ip("172.16.0.1");
    linked.with(Option::relay_agent_information, std::string{"\x01\x01x\x05\x04", 5} + octets(ip("10.5.0.0")));
    CHECK(scene.answer(linked).yiaddr() == ip("10.5.1.0"));
    Packet selected = Packet::of(MessageType::discover, machine(3)).with(Option::subnet_selection, ip("10.5.0.0"));
    CHECK(scene.answer(selected).yiaddr() == ip("10.5.1.1"));
    Packet broken = Packet::of(MessageType::discover, machine(3));
    broken.giaddr = ip("10.5.0.1");
    broken.with(Option::relay_agent_information, "\x05\x09xx");
    CHECK(scene.answer(broken).yiaddr() == ip("10.5.1.1"));
}

// --- who is served -----------------------------------------------------------------------------------------------------------------------

TEST_CASE("policy ignore: a machine nobody declared gets nothing, whatever it says") {
    Scene scene;
    for (int type = 1; type <= 8; ++type) CHECK(scene.silent(Packet::of(static_cast<MessageType>(type), machine(99))) == "unknown_client");
    CHECK(scene.responder.leases().size() == 0);
}

TEST_CASE("policy enroll: it is enrolled when it looks for a server, and served when it is declared") {
    Scene scene{config::UnknownPolicy::enroll};
    const Decision decision = scene.say(Packet::of(MessageType::discover, machine(99)));
    CHECK(decision.action == Decision::Action::enroll);
    CHECK(scene.silent(Scene::init_reboot(ip("10.9.9.9"), machine(99))) == "not_enrolled_yet");
    CHECK(scene.silent(Packet::of(MessageType::release, machine(99))) == "not_enrolled_yet");
    boot::CatalogData data = clients();
    data.clients.push_back({.name = "pc-99", .macs = {machine(99)}});
    scene.catalog = boot::Catalog{data};
    CHECK(scene.bind(machine(99)) == ip("192.168.77.100"));
}

TEST_CASE("policy menu: an address, the loader, the menu") {
    Scene scene{config::UnknownPolicy::menu};
    const Read rom = scene.answer(pxe_rom(machine(99)));
    CHECK(rom.yiaddr() == ip("192.168.77.100"));
    CHECK(rom.file() == "undionly.kpxe");
    const Read loader = scene.answer(ipxe(machine(99)));
    CHECK(loader.yiaddr() == rom.yiaddr());
    CHECK(loader.file() == "http://192.168.77.1:8080/boot.ipxe");
    CHECK_FALSE(loader.has(Option::host_name));
    CHECK_FALSE(loader.has(Option::initiator_iqn));
    CHECK(scene.bind(machine(99)) == rom.yiaddr());
}

TEST_CASE("policy menu: strangers leave an address for every declared machine, reserved or not") {
    Scene scene{config::UnknownPolicy::menu};
    int served = 0;
    for (unsigned i = 100; i < 1100; ++i)
        served += scene.say(Packet::of(MessageType::discover, machine(i))).action == Decision::Action::reply;
    CHECK(served == 2);  // of a pool of four: desk-02 and desk-03 have no reservation
    CHECK(scene.bind(machine(1)) == ip("192.168.77.11"));
    CHECK(scene.responder.leases().size() == 3);
}

TEST_CASE("a known machine with a new card is recognised by its UUID, never by a blank one") {
    Scene scene;
    // RFC 4578 2.3: the first three fields of 00112233-4455-6677-8899-aabbccddeeff little-endian.
    const std::string uuid{"\0\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 17};
    const Read offer = scene.answer(Packet::of(MessageType::discover, machine(99)).with(Option::client_machine_identifier, uuid));
    CHECK(offer.yiaddr() == ip("192.168.77.14"));
    CHECK(offer.get(Option::host_name) == "server-04");
    for (const char blank : {'\0', '\xff'})
        CHECK(scene.silent(Packet::of(MessageType::discover, machine(98))
                               .with(Option::client_machine_identifier, std::string(1, '\0') + std::string(16, blank))) ==
              "unknown_client");
}
