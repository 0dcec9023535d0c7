// Dialogues with the responder, by the client's states of RFC 2131 4.4.
#include "scene.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;

// --- INIT, SELECTING -------------------------------------------------------------------------------------------------------------------

TEST_CASE("a declared machine gets its reservation, offered and acknowledged") {
    Scene scene;
    const Read offer = scene.answer(Packet::of(MessageType::discover));
    CHECK(offer.type() == MessageType::offer);
    CHECK(offer.yiaddr() == ip("192.168.77.11"));
    CHECK(offer.xid() == 0x1234);
    CHECK(offer.get(Option::server_identifier) == octets(server_address));
    CHECK(offer.number(Option::lease_time) == 3600);
    CHECK(offer.number(Option::renewal_time) == 1800);
    CHECK(offer.number(Option::rebinding_time) == 3150);
    const Decision ack = scene.say(Scene::selecting(ip("192.168.77.11")));
    CHECK(ack.reason == "acked");
    REQUIRE(ack.store);
    CHECK(ack.store->address == ip("192.168.77.11"));
    CHECK(ack.store->mac == machine(1));
    CHECK(ack.store->state == LeaseState::bound);
    CHECK(ack.store->expires >= scene.now + 3600s);
    CHECK(read(ack).type() == MessageType::ack);
    CHECK(read(ack).yiaddr() == ip("192.168.77.11"));
    CHECK(ack.client->name == "desk-01");
}

TEST_CASE("a declared machine without a reservation gets a pool address, and keeps it") {
    Scene scene;
    const Ipv4Address first = scene.bind(machine(2));
    CHECK(first == ip("192.168.77.100"));
    CHECK(scene.bind(machine(3)) == ip("192.168.77.101"));
    CHECK(scene.bind(machine(2)) == first);
    scene.now = at(100'000);
    CHECK(scene.bind(machine(2)) == first);
}

TEST_CASE("repeated DISCOVERs get the same offer; only the first of a new address is worth a probe") {
    Scene scene;
    const Decision first = scene.say(Packet::of(MessageType::discover, machine(2)));
    const Decision again = scene.say(Packet::of(MessageType::discover, machine(2)));
    CHECK(first.address == again.address);
    CHECK(first.fresh_address);
    CHECK_FALSE(again.fresh_address);
    CHECK_FALSE(scene.say(Packet::of(MessageType::discover, machine(1))).fresh_address);  // reserved
}

TEST_CASE("the firmware, iPXE and the system of one machine get one address though their client identifiers differ") {
    Scene scene;
    std::set<std::string> addresses;
    for (const char* id : {"", "\x01rom", "\x01ipxe", "\xffsystem-uuid"}) {
        Packet discover = Packet::of(MessageType::discover, machine(2));
        if (*id != 0) discover.with(Option::client_identifier, id);
        const Ipv4Address offered = scene.answer(discover).yiaddr();
        CHECK(scene.answer(Scene::selecting(offered, machine(2)).with(Option::client_identifier, id)).type() == MessageType::ack);
        addresses.insert(offered.text());
    }
    CHECK(addresses.size() == 1);
}

TEST_CASE("a REQUEST for another server is not ours, and frees what we offered") {
    Scene scene;
    for (const unsigned m : {2u, 3u}) scene.bind(machine(m));
    CHECK(scene.answer(Packet::of(MessageType::discover, machine(2))).yiaddr() == ip("192.168.77.100"));
    CHECK(scene.silent(Scene::selecting(ip("192.168.77.50"), machine(2), ip("192.168.77.2"))) == "chose_other_server");
    // A lease is no offer: it stays.
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.100"), machine(2))).type() == MessageType::ack);
}

TEST_CASE("SELECTING what is not one's own is refused") {
    Scene scene;
    scene.bind(machine(3));
    CHECK(scene.answer(Scene::selecting(ip("192.168.77.12"))).type() == MessageType::nak);               // not its reservation
    CHECK(scene.answer(Scene::selecting(ip("192.168.77.100"), machine(2))).type() == MessageType::nak);  // somebody else's
    CHECK(scene.answer(Scene::selecting(ip("192.168.77.102"), machine(2))).type() == MessageType::nak);  // never offered
    CHECK(scene.answer(Scene::selecting({}, machine(2))).type() == MessageType::nak);
}

TEST_CASE("an offer that ran out and went to another is refused, one still free is granted") {
    config::Dhcp dhcp = network();
    dhcp.subnets[0].pool = {Ipv4Range::parse("192.168.77.100-192.168.77.100").value()};
    Scene scene{config::UnknownPolicy::ignore, dhcp};
    CHECK(scene.answer(Packet::of(MessageType::discover, machine(2))).yiaddr() == ip("192.168.77.100"));
    scene.now += Responder::offer_time + 1s;
    SUBCASE("still free") { CHECK(scene.answer(Scene::selecting(ip("192.168.77.100"), machine(2))).type() == MessageType::ack); }
    SUBCASE("gone") {
        CHECK(scene.bind(machine(3)) == ip("192.168.77.100"));
        CHECK(scene.answer(Scene::selecting(ip("192.168.77.100"), machine(2))).type() == MessageType::nak);
        CHECK(scene.silent(Packet::of(MessageType::discover, machine(2))) == "pool_exhausted");
    }
}

TEST_CASE("pool addresses are never somebody's reservation, the server's, the router's, or alive") {
    config::Dhcp dhcp = network();
    dhcp.subnets[0].pool = {Ipv4Range::parse("192.168.77.1-192.168.77.1").value(), Ipv4Range::parse("192.168.77.11-192.168.77.14").value(),
                            Ipv4Range::parse("192.168.77.254-192.168.77.254").value()};
    Scene scene{config::UnknownPolicy::ignore, dhcp};
    scene.responder.set_in_use([](Ipv4Address a) { return a == ip("192.168.77.12"); });
    CHECK(scene.bind(machine(2)) == ip("192.168.77.13"));
    CHECK(scene.silent(Packet::of(MessageType::discover, machine(3)).with(Option::requested_address, ip("192.168.77.11"))) ==
          "pool_exhausted");
    // Its own address may well be alive: it is itself.
    scene.responder.set_in_use([](Ipv4Address) { return true; });
    CHECK(scene.bind(machine(2)) == ip("192.168.77.13"));
}

// --- the lease is on disk before its ACK -------------------------------------------------------------------------------------------------

TEST_CASE("an ACK needs a lease on disk: a failed or unfinished save is tried again, never taken for done") {
    Scene scene;
    scene.store_works = false;
    CHECK(scene.answer(Packet::of(MessageType::discover, machine(2))).yiaddr() == ip("192.168.77.100"));
    for (int attempt = 0; attempt < 3; ++attempt) CHECK(scene.say(Scene::selecting(ip("192.168.77.100"), machine(2))).store);
    scene.store_works = true;
    CHECK(scene.say(Scene::selecting(ip("192.168.77.100"), machine(2))).store);
    CHECK_FALSE(scene.say(Scene::selecting(ip("192.168.77.100"), machine(2))).store);  // there already
}

TEST_CASE("the second and third exchange of one boot cost no commit; every promise is covered by the disk") {
    for (const std::chrono::seconds lease_time : {1s, 30s, 60s, 3600s, 12 * 3600s}) {
        config::Dhcp dhcp = network();
        dhcp.subnets[0].lease_time = lease_time;
        Scene scene{config::UnknownPolicy::ignore, dhcp};
        Seconds on_disk{};
        for (int exchange = 0; exchange < 40; ++exchange) {
            (void)scene.answer(Packet::of(MessageType::discover));
            const Decision ack = scene.say(Scene::selecting(ip("192.168.77.11")));
            if (ack.store) on_disk = ack.store->expires;
            CHECK(on_disk >= scene.now + lease_time);
            scene.now += 7s;
        }
    }
    Scene scene;
    scene.bind(machine(1));
    scene.now += 20s;
    (void)scene.answer(Packet::of(MessageType::discover));
    CHECK_FALSE(scene.say(Scene::selecting(ip("192.168.77.11"))).store);
    scene.now += 1800s;
    CHECK(scene.say(Scene::renewing(ip("192.168.77.11"))).store);  // T1
}

TEST_CASE("what a client says of itself is kept within bounds") {
    Scene scene;
    (void)scene.answer(Packet::of(MessageType::discover));
    const std::string part(200, 'h');
    const Decision ack = scene.say(Scene::selecting(ip("192.168.77.11"))
                                       .with(Option::host_name, part)
                                       .with(Option::host_name, part)
                                       .with(Option::client_identifier, "\x01id"));
    REQUIRE(ack.store);
    CHECK(ack.store->host_name.size() == 255);
    CHECK(ack.store->client_id == "\x01id");
}

// --- storms ----------------------------------------------------------------------------------------------------------------------------

TEST_CASE("20,000 strangers take every address but those of the declared machines") {
    Scene scene{config::UnknownPolicy::menu};
    for (unsigned n = 0; n < 20'000; ++n) {
        const MacAddress mac = machine(1000 + n);
        const Decision offer = scene.say(Packet::of(MessageType::discover, mac));
        if (offer.action == Decision::Action::reply) (void)scene.say(Scene::selecting(offer.address, mac));
    }
    CHECK(scene.responder.leases().size() == 2);           // of four addresses in the pool
    CHECK(scene.bind(machine(1)) == ip("192.168.77.11"));  // reserved
    CHECK(scene.bind(machine(2)) != scene.bind(machine(3)));
    CHECK(scene.silent(Packet::of(MessageType::discover, machine(50))) == "pool_exhausted");
}

TEST_CASE("liars who decline what they get put a part of the pool into quarantine, not all of it") {
    config::Dhcp dhcp = network();
    dhcp.subnets[0].pool = {*Ipv4Range::parse("192.168.77.100-192.168.77.163")};
    Scene scene{config::UnknownPolicy::menu, dhcp};
    unsigned believed = 0;
    for (unsigned n = 0; n < 200; ++n) {
        const MacAddress mac = machine(1000 + n);
        const Ipv4Address address = scene.bind(mac);
        const Decision decision = scene.say(Scene::decline(address, mac));
        believed += decision.reason == "declined" ? 1 : 0;
        CHECK((decision.reason == "declined" || decision.reason == "declined_too_often"));
    }
    CHECK(believed == 8);
    CHECK(scene.bind(machine(2)) != scene.bind(machine(3)));
}

// --- INIT-REBOOT -----------------------------------------------------------------------------------------------------------------------

TEST_CASE("INIT-REBOOT: its own address is confirmed, also after a restart") {
    Scene scene;
    scene.bind(machine(2));
    CHECK(scene.answer(Scene::init_reboot(ip("192.168.77.100"), machine(2))).type() == MessageType::ack);
    CHECK(scene.answer(Scene::init_reboot(ip("192.168.77.11"))).type() == MessageType::ack);  // a reservation needs no lease before
    Scene restarted;
    restarted.responder.leases().load(scene.responder.leases().all());
    CHECK(restarted.answer(Scene::init_reboot(ip("192.168.77.100"), machine(2))).type() == MessageType::ack);
}

TEST_CASE("INIT-REBOOT: a wrong address is refused where we know better") {
    Scene scene;
    CHECK(scene.answer(Scene::init_reboot(ip("192.168.77.12"))).type() == MessageType::nak);               // not its reservation
    CHECK(scene.answer(Scene::init_reboot(ip("10.99.0.5"))).type() == MessageType::nak);                   // not of this network
    CHECK(scene.answer(Scene::init_reboot(ip("192.168.77.102"), machine(2))).type() == MessageType::nak);  // authoritative
    config::Dhcp modest = network();
    modest.authoritative = false;
    Scene beside{config::UnknownPolicy::ignore, modest};
    CHECK(beside.silent(Scene::init_reboot(ip("192.168.77.102"), machine(2))) == "unknown_lease");
    CHECK(beside.answer(Scene::init_reboot(ip("10.99.0.5"), machine(2))).type() == MessageType::nak);
    beside.bind(machine(2));
    CHECK(beside.answer(Scene::init_reboot(ip("192.168.77.103"), machine(2))).type() == MessageType::nak);
}

// --- BOUND, RENEWING, REBINDING --------------------------------------------------------------------------------------------------------

TEST_CASE("RENEWING and REBINDING extend the lease and answer to the client's address") {
    Scene scene;
    scene.bind(machine(2));
    scene.now += 1800s;
    Packet packet = Scene::renewing(ip("192.168.77.100"), machine(2));
    const Decision ack = scene.say(packet);
    REQUIRE(ack.store);
    CHECK(ack.store->expires >= scene.now + 3600s);
    const Read reply = read(ack);
    CHECK(reply.type() == MessageType::ack);
    CHECK(reply.ciaddr() == ip("192.168.77.100"));
    CHECK(reply.yiaddr() == ip("192.168.77.100"));
    CHECK(reply.number(Option::lease_time) == 3600);
}

TEST_CASE("RENEWING: a running machine keeps its address though its reservation changed; its next boot gets the new one") {
    Scene scene;
    scene.bind(machine(1));
    boot::CatalogData data = clients();
    data.clients[0].address = ip("192.168.77.55");
    scene.catalog = boot::Catalog{data};
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.11"))).type() == MessageType::ack);
    CHECK(scene.answer(Packet::of(MessageType::discover)).yiaddr() == ip("192.168.77.55"));
    CHECK(scene.answer(Scene::selecting(ip("192.168.77.11"))).type() == MessageType::nak);
    CHECK(scene.answer(Scene::selecting(ip("192.168.77.55"))).type() == MessageType::ack);
}

TEST_CASE("RENEWING: a lease we lost is adopted where the address is free, and refused where it is not") {
    Scene scene;
    CHECK(scene.say(Scene::renewing(ip("192.168.77.102"), machine(2))).store);
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.102"), machine(3))).type() == MessageType::nak);
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.14"), machine(3))).type() == MessageType::nak);   // a reservation of another
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.200"), machine(3))).type() == MessageType::nak);  // no address of ours
    CHECK(scene.answer(Scene::renewing(ip("172.16.0.5"), machine(3))).type() == MessageType::nak);      // no network of ours
    config::Dhcp modest = network();
    modest.authoritative = false;
    Scene beside{config::UnknownPolicy::ignore, modest};
    CHECK(beside.silent(Scene::renewing(ip("192.168.77.200"), machine(3))) == "unknown_lease");
}

TEST_CASE("a REQUEST that names no address at all is dropped") {
    Scene scene;
    CHECK(scene.silent(Packet::of(MessageType::request)) == "request_without_address");
}

// --- RELEASE, DECLINE, INFORM, BOOTP ---------------------------------------------------------------------------------------------------

TEST_CASE("RELEASE frees the address of the one who releases it, and of nobody else") {
    Scene scene;
    scene.bind(machine(2));
    CHECK(scene.silent(Scene::release(ip("192.168.77.100"), machine(3))) == "release_of_nothing");
    Packet elsewhere = Scene::release(ip("192.168.77.100"), machine(2));
    elsewhere.options.back().second = octets(ip("192.168.77.2"));
    CHECK(scene.silent(elsewhere) == "chose_other_server");
    const Decision released = scene.say(Scene::release(ip("192.168.77.100"), machine(2)));
    CHECK(released.reason == "released");
    REQUIRE(released.store);
    CHECK(released.store->state == LeaseState::released);
    CHECK(scene.silent(Scene::release(ip("192.168.77.100"), machine(2))) == "release_of_nothing");
    CHECK(scene.bind(machine(2)) == ip("192.168.77.100"));
}

TEST_CASE("DECLINE: the address rests, the machine gets another, also where it was its reservation") {
    Scene scene;
    CHECK(scene.silent(Packet::of(MessageType::decline, machine(2))) == "decline_of_nothing");
    CHECK(scene.bind(machine(2)) == ip("192.168.77.100"));
    CHECK(scene.silent(Scene::decline(ip("192.168.77.100"), machine(3))) == "decline_of_nothing");
    const Decision declined = scene.say(Scene::decline(ip("192.168.77.100"), machine(2)));
    CHECK(declined.reason == "declined");
    REQUIRE(declined.store);
    CHECK(declined.store->state == LeaseState::declined);
    CHECK(scene.bind(machine(2)) == ip("192.168.77.101"));

    CHECK(scene.bind(machine(1)) == ip("192.168.77.11"));
    CHECK(scene.say(Scene::decline(ip("192.168.77.11"))).reason == "declined");
    CHECK(scene.bind(machine(1)) == ip("192.168.77.102"));
    scene.now += Responder::quarantine_time;
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.102"))).type() == MessageType::ack);  // it is up: no refusal
    CHECK(scene.bind(machine(1)) == ip("192.168.77.11"));
}

TEST_CASE("an address reserved while another machine has it is probed before it is offered") {
    Scene scene;
    CHECK(scene.bind(machine(2)) == ip("192.168.77.100"));
    boot::CatalogData data = clients();
    data.clients[0].address = ip("192.168.77.100");
    scene.catalog = boot::Catalog{data};
    const Decision offer = scene.say(Packet::of(MessageType::discover));
    CHECK(offer.address == ip("192.168.77.100"));
    CHECK(offer.fresh_address);
    CHECK(scene.answer(Scene::renewing(ip("192.168.77.100"), machine(2))).type() == MessageType::nak);
    // The probe found somebody: the reservation waits.
    (void)scene.responder.leases().quarantine(ip("192.168.77.100"), scene.now + Responder::quarantine_time);
    CHECK(scene.bind(machine(1)) == ip("192.168.77.101"));
}

TEST_CASE("INFORM gets what it asks for, but no lease") {
    Scene scene;
    CHECK(scene.silent(Packet::of(MessageType::inform)) == "inform_without_address");
    Packet packet = Packet::of(MessageType::inform);
    packet.ciaddr = ip("192.168.77.33");
    packet.with(Option::parameter_request_list, "\x01\x03\x06");
    const Decision decision = scene.say(packet);
    CHECK(decision.reason == "informed");
    CHECK_FALSE(decision.store);
    const Read ack = read(decision);
    CHECK(ack.type() == MessageType::ack);
    CHECK(ack.yiaddr().is_unspecified());
    CHECK(ack.ciaddr() == ip("192.168.77.33"));
    CHECK_FALSE(ack.has(Option::lease_time));
    CHECK(ack.get(Option::router) == octets(ip("192.168.77.254")));
    packet.ciaddr = ip("172.16.0.9");
    CHECK(scene.silent(packet) == "no_subnet");
}

TEST_CASE("BOOTP serves reservations, in a packet of 300 bytes") {
    Scene scene;
    Packet packet;
    packet.cookie = false;
    const Decision decision = scene.say(packet);
    const Read reply = read(decision, wire::min_message_bytes);
    CHECK(reply.bytes.size() == 300);
    CHECK(reply.type() == MessageType::bootp);
    CHECK(reply.yiaddr() == ip("192.168.77.11"));
    CHECK_FALSE(reply.has(Option::message_type));
    CHECK_FALSE(reply.has(Option::server_identifier));
    CHECK_FALSE(reply.has(Option::lease_time));
    CHECK(reply.has(Option::subnet_mask));
    packet.chaddr = machine(2);
    CHECK(scene.silent(packet) == "bootp_without_reservation");
}

TEST_CASE("replies of other servers that reach us are not requests") {
    Scene scene;
    for (const MessageType type : {MessageType::offer, MessageType::ack, MessageType::nak})
        CHECK(scene.silent(Packet::of(type)) == "not_for_servers");
}
