// The service over real UDP on loopback, with a store that the test opens and closes: an ACK leaves when its lease is on disk, not before.
#include "services/dhcp/service.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/detached.hpp>
#include <deque>

#include "common/runtime.hpp"
#include "common/task_group.hpp"
#include "common/timeout.hpp"
#include "scene.hpp"
#include "services/dhcp/neighbour_probe.hpp"
#include "services/dhcp/transport.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;
using asio::ip::udp;

namespace {

/// Keeps every batch until the test completes it.
class HeldStore final : public boot::LeaseStore {
 public:
    void save(std::vector<Lease> leases, Saved saved) override { held.push_back({std::move(leases), std::move(saved)}); }
    void complete(bool durable) {
        auto batch = std::move(held.front());
        held.pop_front();
        batch.saved(durable);
    }
    struct Batch {
        std::vector<Lease> leases;
        Saved saved;
    };
    std::deque<Batch> held;
};

class Witness final : public boot::BootObserver, public Enroller {
 public:
    void observe(boot::Event event) override { events.push_back(std::move(event)); }
    void enroll(const MacAddress& mac) override { enrolled.push_back(mac); }
    std::vector<boot::Event> events;
    std::vector<MacAddress> enrolled;
};

// One thread runs everything, so the test may look at all of it between two of its own steps.
struct Served {
    Runtime runtime{1};
    boot::CurrentCatalog catalog{std::make_shared<boot::Catalog>(clients())};
    boot::AddressBook addresses;
    HeldStore store;
    CounterRegistry counters;
    Witness witness;
    std::vector<Lease> known;
    config::UnknownPolicy policy = config::UnknownPolicy::ignore;
    std::unique_ptr<DhcpService> service;
    udp::socket client{runtime.executor()};

    static config::Dhcp on_loopback() {
        config::Dhcp dhcp = network();
        dhcp.port = 0;
        dhcp.subnets[0].network = Ipv4Network::parse("127.0.0.0/24").value();
        dhcp.subnets[0].pool = {Ipv4Range::parse("127.0.0.100-127.0.0.103").value()};
        return dhcp;
    }

    void start() {
        service = std::make_unique<DhcpService>(on_loopback(), config::UnknownClients{.policy = policy, .group = "desks"},
                                                Deps{.lanes = runtime.lanes(),
                                                     .catalog = catalog,
                                                     .addresses = addresses,
                                                     .leases = store,
                                                     .counters = counters,
                                                     .observer = witness,
                                                     .enroller = witness,
                                                     .server = {.address = ip("127.0.0.1"), .target_prefix = "iqn.2026-11.lan.lab"}},
                                                known);
        service->bind();
        client.open(udp::v4());
        client.bind({asio::ip::address_v4::loopback(), 0});
    }

    /// Runs the service beside `body`, then stops it: run() must return by itself.
    void run(std::function<asio::awaitable<void>()> body) {
        if (!service) start();
        TaskGroup services{runtime.executor(), "test"};
        services.spawn(service->executor(), [this] { return service->run(); });
        std::exception_ptr failed;
        const auto whole = [&]() -> asio::awaitable<void> {
            try {
                co_await body();
            } catch (...) {
                failed = std::current_exception();
            }
            services.cancel();
            while (failed && !store.held.empty()) store.complete(false);
            co_await services.join();
            runtime.stop();
        };
        asio::co_spawn(runtime.executor(), whole(), asio::detached);
        runtime.run();
        if (failed) std::rethrow_exception(failed);
    }

    void send(const Bytes& message) { client.send_to(asio::buffer(message), {asio::ip::address_v4::loopback(), service->port()}); }
    void send(const Packet& packet) { send(packet.bytes()); }

    /// The next reply. A test that waits in vain fails by this limit, it never measures by it.
    asio::awaitable<Read> receive() {
        Bytes room(2048);
        udp::endpoint from;
        const auto [ec, n] =
            co_await with_timeout(client.async_receive_from(asio::buffer(room), from, asio::deferred), std::chrono::seconds{20});
        REQUIRE_FALSE(ec);
        room.resize(n);
        co_return Read{std::move(room)};
    }
    asio::awaitable<Read> ask(Packet packet) {
        send(packet);
        co_return co_await receive();
    }
    /// Replies come in the order of what was asked: when this one is here, nothing else will come of what was sent before.
    asio::awaitable<bool> silent_until_now() {
        const Read reply = co_await ask(marker());
        co_return reply.xid() == marker().xid;
    }
    static Packet marker() {
        Packet packet = Packet::of(MessageType::inform, machine(3));
        packet.xid = 0x5117;
        packet.ciaddr = ip("127.0.0.77");
        return packet;
    }
    static Packet request(const char* address, MacAddress mac = machine(2)) { return Scene::selecting(ip(address), mac, ip("127.0.0.1")); }

    [[nodiscard]] std::uint64_t count(const char* name, const char* labels = "") { return counters.counter(name, labels).value(); }
};

}  // namespace

TEST_CASE("DISCOVER, OFFER, REQUEST, ACK over UDP; the ACK waits for the disk") {
    Served served;
    served.run([&]() -> asio::awaitable<void> {
        const Read offer = co_await served.ask(Packet::of(MessageType::discover, machine(2)));
        CHECK(offer.type() == MessageType::offer);
        CHECK(offer.yiaddr() == ip("127.0.0.100"));
        CHECK(served.store.held.empty());  // an offer is not for the disk
        served.send(Served::request("127.0.0.100"));
        CHECK(co_await served.silent_until_now());
        REQUIRE(served.store.held.size() == 1);
        REQUIRE(served.store.held.front().leases.size() == 1);
        CHECK(served.store.held.front().leases[0].address == ip("127.0.0.100"));
        CHECK_FALSE(served.addresses.mac_of(ip("127.0.0.100")));
        CHECK(served.witness.events.empty());
        served.store.complete(true);
        const Read ack = co_await served.receive();
        CHECK(ack.type() == MessageType::ack);
        CHECK(ack.yiaddr() == ip("127.0.0.100"));
        CHECK(served.addresses.mac_of(ip("127.0.0.100")) == machine(2));
        // It is on disk now: asking again needs no commit.
        CHECK((co_await served.ask(Served::request("127.0.0.100"))).type() == MessageType::ack);
        CHECK(served.store.held.empty());
    });
    CHECK(served.count("diskless_dhcp_messages_total", R"(type="discover")") == 1);
    CHECK(served.count("diskless_dhcp_messages_total", R"(type="request")") == 2);
}

TEST_CASE("a REQUEST that is repeated while its lease is being written waits like the first") {
    Served served;
    served.run([&]() -> asio::awaitable<void> {
        (void)co_await served.ask(Packet::of(MessageType::discover, machine(2)));
        served.send(Served::request("127.0.0.100"));
        CHECK(co_await served.silent_until_now());
        served.send(Served::request("127.0.0.100"));
        CHECK(co_await served.silent_until_now());
        REQUIRE(served.store.held.size() == 2);
        served.store.complete(true);
        CHECK((co_await served.receive()).type() == MessageType::ack);
        served.store.complete(true);
        CHECK((co_await served.receive()).type() == MessageType::ack);
    });
}

TEST_CASE("no ACK where the disk fails; the client asks again and gets it when the disk works again") {
    Served served;
    served.run([&]() -> asio::awaitable<void> {
        (void)co_await served.ask(Packet::of(MessageType::discover, machine(2)));
        for (int attempt = 0; attempt < 3; ++attempt) {
            served.send(Served::request("127.0.0.100"));
            CHECK(co_await served.silent_until_now());
            REQUIRE(served.store.held.size() == 1);
            served.store.complete(false);
            CHECK(co_await served.silent_until_now());
        }
        CHECK_FALSE(served.addresses.mac_of(ip("127.0.0.100")));
        CHECK(served.witness.events.empty());
        served.send(Served::request("127.0.0.100"));
        CHECK(co_await served.silent_until_now());
        REQUIRE(served.store.held.size() == 1);
        served.store.complete(true);
        CHECK((co_await served.receive()).type() == MessageType::ack);
    });
    CHECK(served.count("diskless_dhcp_unsent_total") == 3);
}

TEST_CASE("the leases of one burst share one commit") {
    Served served;
    served.known = {{.address = ip("127.0.0.100"), .mac = machine(2), .expires = Seconds{}},
                    {.address = ip("127.0.0.101"), .mac = machine(3), .expires = Seconds{}}};
    served.start();
    served.send(Served::request("127.0.0.100", machine(2)));
    served.send(Served::request("127.0.0.101", machine(3)));
    served.run([&]() -> asio::awaitable<void> {
        CHECK(co_await served.silent_until_now());
        REQUIRE(served.store.held.size() == 1);
        CHECK(served.store.held.front().leases.size() == 2);
        served.store.complete(true);
        CHECK((co_await served.receive()).yiaddr() == ip("127.0.0.100"));
        CHECK((co_await served.receive()).yiaddr() == ip("127.0.0.101"));
    });
}

TEST_CASE("stopping waits for the commits under way and sends what they allow") {
    Served served;
    served.start();
    asio::steady_timer later{served.runtime.executor()};
    served.run([&]() -> asio::awaitable<void> {
        (void)co_await served.ask(Packet::of(MessageType::discover, machine(2)));
        served.send(Served::request("127.0.0.100"));
        CHECK(co_await served.silent_until_now());
        REQUIRE(served.store.held.size() == 1);
        // Behind the stop, and behind the turns the service needs to hear of it.
        asio::post(served.runtime.executor(), [&] {
            asio::post(served.runtime.executor(), [&] { asio::post(served.runtime.executor(), [&] { served.store.complete(true); }); });
        });
    });
    Bytes room(2048);
    served.client.non_blocking(true);
    room.resize(served.client.receive(asio::buffer(room)));
    CHECK(Read{room}.type() == MessageType::ack);
}

TEST_CASE("RELEASE and DECLINE reach the disk and the address book") {
    Served served;
    const Seconds far = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + std::chrono::hours{10};
    served.known = {{.address = ip("127.0.0.100"), .mac = machine(2), .expires = far},
                    {.address = ip("127.0.0.101"), .mac = machine(3), .expires = far}};
    served.start();
    CHECK(served.addresses.mac_of(ip("127.0.0.100")) == machine(2));  // leases of the store count from the start
    served.run([&]() -> asio::awaitable<void> {
        Packet release = Packet::of(MessageType::release, machine(2));
        release.ciaddr = ip("127.0.0.100");
        served.send(release);
        served.send(Packet::of(MessageType::decline, machine(3)).with(Option::requested_address, ip("127.0.0.101")));
        CHECK(co_await served.silent_until_now());
        std::vector<LeaseState> states;
        while (!served.store.held.empty()) {
            for (const Lease& lease : served.store.held.front().leases) states.push_back(lease.state);
            served.store.complete(true);
        }
        CHECK(states == std::vector{LeaseState::released, LeaseState::declined});
        CHECK_FALSE(served.addresses.mac_of(ip("127.0.0.100")));
        CHECK_FALSE(served.addresses.mac_of(ip("127.0.0.101")));
    });
}

TEST_CASE("the observer hears of ACKs: the firmware's as dhcp, the system's as system_dhcp") {
    Served served;
    served.run([&]() -> asio::awaitable<void> {
        using Said = std::pair<Option, const char*>;
        for (const auto& [option, value] : {Said{Option::vendor_class, "PXEClient:Arch:00000:UNDI:002001"},
                                            Said{Option::parameter_request_list, "\x01\x03\x06\x11"},  // EDK2's IScsiDxe
                                            Said{Option::vendor_class, "Linux ipconfig"}}) {
            (void)co_await served.ask(Packet::of(MessageType::discover, machine(2)));
            served.send(Served::request("127.0.0.100").with(option, value));
            if (served.witness.events.empty()) {
                CHECK(co_await served.silent_until_now());
                REQUIRE(served.store.held.size() == 1);
                served.store.complete(true);
            }
            CHECK((co_await served.receive()).type() == MessageType::ack);
        }
    });
    REQUIRE(served.witness.events.size() == 3);
    CHECK(served.witness.events[0].step == boot::Step::dhcp);
    CHECK(served.witness.events[0].mac == machine(2));
    CHECK(served.witness.events[0].client == "desk-02");
    CHECK(served.witness.events[0].detail == "127.0.0.100 to PXEClient:Arch:00000 (BIOS, PXE ROM)");
    CHECK(served.witness.events[1].step == boot::Step::dhcp);
    CHECK(served.witness.events[1].detail == "127.0.0.100 to a firmware's iSCSI initiator");
    CHECK(served.witness.events[2].step == boot::Step::system_dhcp);
    CHECK(served.witness.events[2].detail == "127.0.0.100 to Linux ipconfig (initramfs)");
}

TEST_CASE("garbage is dropped and counted, and the next client is served") {
    Served served;
    served.run([&]() -> asio::awaitable<void> {
        served.send(Bytes{});
        served.send(Bytes(100, std::byte{1}));
        served.send(Bytes(9000, std::byte{1}));
        Packet broken = Packet::of(MessageType::discover, machine(2));
        Bytes bytes = broken.bytes();
        bytes[241] = std::byte{250};
        served.send(bytes);
        CHECK((co_await served.ask(Packet::of(MessageType::discover, machine(2)))).type() == MessageType::offer);
    });
    CHECK(served.count("diskless_dhcp_dropped_total") == 4);
}

TEST_CASE("strangers get nothing, and are enrolled where the policy says so") {
    Served served;
    SUBCASE("ignore") {
        served.run([&]() -> asio::awaitable<void> {
            served.send(Packet::of(MessageType::discover, machine(99)));
            CHECK(co_await served.silent_until_now());
        });
        CHECK(served.witness.enrolled.empty());
    }
    SUBCASE("enroll, then served with the new catalog") {
        served.policy = config::UnknownPolicy::enroll;
        served.run([&]() -> asio::awaitable<void> {
            served.send(Packet::of(MessageType::discover, machine(99)));
            CHECK(co_await served.silent_until_now());
            CHECK(served.witness.enrolled == std::vector{machine(99)});
            boot::CatalogData data = clients();
            data.clients.push_back({.name = "pc-99", .macs = {machine(99)}});
            served.catalog.replace(std::make_shared<boot::Catalog>(data));
            CHECK((co_await served.ask(Packet::of(MessageType::discover, machine(99)))).type() == MessageType::offer);
        });
    }
}

TEST_CASE("more bursts than may wait for the disk: the rest waits in the socket, and a stop is heard even then") {
    Served served;
    served.start();
    served.run([&]() -> asio::awaitable<void> {
        for (const unsigned m : {2u, 3u}) (void)co_await served.ask(Packet::of(MessageType::discover, machine(m)));
        // Each of these is a burst of its own: the next is sent when the one before is with the store.
        for (std::size_t i = 1; i <= 64; ++i) {
            served.send(Served::request("127.0.0.100"));
            while (served.store.held.size() < i) co_await asio::post(served.runtime.executor(), asio::use_awaitable);
        }
        served.send(Served::request("127.0.0.101", machine(3)));
        for (int turn = 0; turn < 100; ++turn) co_await asio::post(served.runtime.executor(), asio::use_awaitable);
        CHECK(served.store.held.size() == 64);
        served.store.complete(true);
        CHECK((co_await served.receive()).type() == MessageType::ack);
        while (served.store.held.size() < 64) co_await asio::post(served.runtime.executor(), asio::use_awaitable);
        // Stopping now, with the limit reached again.
        asio::post(served.runtime.executor(), [&] {
            asio::post(served.runtime.executor(), [&] {
                while (!served.store.held.empty()) served.store.complete(true);
            });
        });
    });
    CHECK(served.store.held.empty());
}

TEST_CASE("what cannot be had at start is said in one line with a remedy") {
    Runtime runtime{1};
    const auto message = [&](Transport::Setup setup) {
        Transport transport{runtime.executor(), std::move(setup)};
        try {
            transport.bind();
        } catch (const std::runtime_error& e) {
            return std::string{e.what()};
        }
        return std::string{};
    };
    Transport first{runtime.executor(), {.address = ip("127.0.0.1"), .port = 0}};
    first.bind();
    const std::string in_use = message({.address = ip("127.0.0.1"), .port = first.port()});
    CHECK(in_use.contains("cannot bind port " + std::to_string(first.port()) + " (127.0.0.1)"));
    CHECK(in_use.contains("unit_dhcp (pid "));
    const std::string missing = message({.interface = "no-such-if0", .address = ip("127.0.0.1"), .port = 0});
    CHECK(missing.contains("no-such-if0"));
    CHECK(missing.contains("; "));
    CHECK(message({.address = ip("203.0.113.7"), .port = 0}).contains("203.0.113.7"));  // not an address of this machine
}
