// Delivery (RFC 2131 4.1), the frame for clients without an address, the router advertisement, and what people are told.
#include "services/dhcp/delivery.hpp"

#include <algorithm>

#include "packets.hpp"
#include "services/dhcp/reminders.hpp"
#include "services/dhcp/request_view.hpp"
#include "services/dhcp/wire/frame.hpp"
#include "services/dhcp/wire/router_advertisement.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;

TEST_CASE("RFC 2131 4.1, line by line") {
    using Kind = Delivery::Kind;
    struct Case {
        const char* giaddr;
        const char* ciaddr;
        std::uint16_t flags;
        MessageType type;
        bool raw;
        Kind kind;
        const char* address;
    };
    const MacAddress chaddr = machine(1);
    for (const Case& c : {
             Case{"10.0.0.2", "0.0.0.0", 0, MessageType::offer, true, Kind::relay, "10.0.0.2"},
             Case{"10.0.0.2", "10.0.0.9", 0x8000, MessageType::ack, true, Kind::relay, "10.0.0.2"},
             Case{"10.0.0.2", "0.0.0.0", 0x8000, MessageType::nak, true, Kind::relay, "10.0.0.2"},
             Case{"0.0.0.0", "10.0.0.9", 0, MessageType::ack, true, Kind::unicast, "10.0.0.9"},
             Case{"0.0.0.0", "10.0.0.9", 0x8000, MessageType::ack, true, Kind::unicast, "10.0.0.9"},
             Case{"0.0.0.0", "0.0.0.0", 0x8000, MessageType::offer, true, Kind::broadcast, "255.255.255.255"},
             Case{"0.0.0.0", "0.0.0.0", 0, MessageType::offer, true, Kind::raw, "10.0.0.50"},
             Case{"0.0.0.0", "0.0.0.0", 0, MessageType::bootp, true, Kind::raw, "10.0.0.50"},
             Case{"0.0.0.0", "0.0.0.0", 0, MessageType::offer, false, Kind::broadcast, "255.255.255.255"},
             Case{"0.0.0.0", "10.0.0.9", 0, MessageType::nak, true, Kind::broadcast, "255.255.255.255"},
             Case{"0.0.0.0", "0.0.0.0", 0, MessageType::nak, true, Kind::broadcast, "255.255.255.255"},
         }) {
        const wire::Header reply{
            .flags = c.flags, .ciaddr = ip(c.ciaddr), .yiaddr = ip("10.0.0.50"), .giaddr = ip(c.giaddr), .chaddr = chaddr};
        CHECK(delivery_of(reply, c.type, c.raw) == Delivery{c.kind, ip(c.address), chaddr});
    }
}

TEST_CASE("a frame carries its payload and both checksums are right") {
    for (const std::size_t size : {std::size_t{300}, std::size_t{301}}) {
        Bytes payload(size);
        for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::byte>(i * 7);
        Bytes frame;
        wire::build_frame({mac("52:54:00:00:00:01"), ip("10.0.0.1"), 67}, {mac("52:54:00:00:00:02"), ip("10.0.0.50"), 68}, payload, frame);
        REQUIRE(frame.size() == 14 + 20 + 8 + size);
        const ByteSpan all{frame};
        CHECK(MacAddress::from(all) == mac("52:54:00:00:00:02"));
        CHECK(MacAddress::from(all.subspan(6)) == mac("52:54:00:00:00:01"));
        CHECK(load_be<std::uint16_t>(all, 12) == 0x0800);
        CHECK(load_be<std::uint16_t>(all, 16) == 28 + size);
        CHECK(load_be<std::uint32_t>(all, 26) == ip("10.0.0.1").value);
        CHECK(load_be<std::uint32_t>(all, 30) == ip("10.0.0.50").value);
        CHECK(load_be<std::uint16_t>(all, 34) == 67);
        CHECK(load_be<std::uint16_t>(all, 36) == 68);
        CHECK(std::ranges::equal(all.subspan(42), payload));
        // Summed with its checksum in place, what is covered gives zero (RFC 1071).
        wire::InternetChecksum header;
        header.add(all.subspan(14, 20));
        CHECK(header.value() == 0);
        wire::InternetChecksum udp;
        udp.add(all.subspan(26, 8));
        const std::array<std::byte, 4> rest{std::byte{0}, std::byte{17}, all[38], all[39]};
        udp.add(rest);
        udp.add(all.subspan(34));
        CHECK(udp.value() == 0);
    }
}

// RFC 1071 3: the example's words 0001 f203 f4f5 f6f7 sum to ddf2.
TEST_CASE("the checksum is that of RFC 1071's example, in any cut") {
    const std::array<std::byte, 8> bytes{std::byte{0x00}, std::byte{0x01}, std::byte{0xf2}, std::byte{0x03},
                                         std::byte{0xf4}, std::byte{0xf5}, std::byte{0xf6}, std::byte{0xf7}};
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        wire::InternetChecksum sum;
        sum.add(ByteSpan{bytes}.first(cut));
        sum.add(ByteSpan{bytes}.subspan(cut));
        CHECK(sum.value() == static_cast<std::uint16_t>(~0xddf2));
    }
}

TEST_CASE("the advertisement says: no router here (RFC 4861 4.2)") {
    const auto bytes = wire::router_advertisement();
    CHECK(bytes[0] == std::byte{134});
    CHECK(bytes[1] == std::byte{0});
    CHECK(bytes[5] == std::byte{0});               // neither managed nor other configuration
    CHECK(load_be<std::uint16_t>(bytes, 6) == 0);  // router lifetime
    const Bytes solicitation{std::byte{133}, std::byte{0}, {}, {}, {}, {}, {}, {}};
    CHECK(wire::is_router_solicitation(solicitation));
    CHECK_FALSE(wire::is_router_solicitation(ByteSpan{solicitation}.first(7)));
    CHECK_FALSE(wire::is_router_solicitation(bytes));
    Bytes other_code = solicitation;
    other_code[1] = std::byte{1};
    CHECK_FALSE(wire::is_router_solicitation(other_code));
}

TEST_CASE("who asks, in words for people") {
    using boot::Stage;
    CHECK(describe({.stage = Stage::pxe_rom}, "PXEClient:Arch:00000:UNDI:002001") == "PXEClient:Arch:00000 (BIOS, PXE ROM)");
    CHECK(describe({.stage = Stage::http_firmware, .architecture = boot::Architecture::http_x64}, "HTTPClient:Arch:00016:UNDI:003000") ==
          "HTTPClient:Arch:00016 (UEFI x64, HTTP boot)");
    CHECK(describe({.stage = Stage::ipxe, .architecture = boot::Architecture{77}}, "") == "unknown architecture, iPXE");
    CHECK(describe({.stage = Stage::system}, "Linux ipconfig") == "Linux ipconfig (initramfs)");
    CHECK(describe({}, "") == "a system");
    CHECK_FALSE(describe({}, "\x1b[31m\n").contains('\n'));
}

TEST_CASE("iPXE's features and the machine's UUID are read where they are whole") {
    Packet packet = Packet::of(MessageType::discover);
    packet.with(Option::ipxe, std::string{"\xb1\x05\x01\x1a\xf4\x10\x00\x13\x01\x01\x11\x01\x00\x17", 14});
    packet.with(Option::client_machine_identifier, std::string(1, '\0') + std::string(16, '\x11'));
    const auto request = packet.request();
    CHECK(hints_of(request.options).has_ipxe_options);
    CHECK(hints_of(request.options).ipxe_http);
    CHECK_FALSE(hints_of(request.options).ipxe_iscsi);  // there, and 0
    CHECK(uuid_of(request.options) == Uuid::parse("11111111-1111-1111-1111-111111111111"));
    Packet short_one = Packet::of(MessageType::discover);
    short_one.with(Option::client_machine_identifier, std::string(16, '\x11')).with(Option::ipxe, "\x13\x05\x01");
    CHECK_FALSE(uuid_of(short_one.request().options));
    CHECK_FALSE(hints_of(short_one.request().options).ipxe_http);
}

TEST_CASE("a machine is spoken of once a minute, and a flood of machines stays bounded") {
    Reminders reminders;
    const Reminders::Time start{std::chrono::hours{1}};
    using std::chrono::seconds;
    CHECK(reminders.due(machine(1), start));
    CHECK_FALSE(reminders.due(machine(1), start));
    CHECK_FALSE(reminders.due(machine(1), start + seconds{59}));
    CHECK(reminders.due(machine(2), start + seconds{59}));
    CHECK(reminders.due(machine(1), start + seconds{60}));
    CHECK_FALSE(reminders.due(machine(2), start + seconds{61}));  // remembered across the turn
    CHECK(reminders.due(machine(2), start + seconds{119}));
    unsigned spoken = 0;
    for (unsigned i = 100; i < 100 + 2 * Reminders::max_machines; ++i) spoken += reminders.due(machine(i), start + seconds{119}) ? 1 : 0;
    CHECK(spoken <= Reminders::max_machines);
    CHECK(reminders.due(machine(1), start + seconds{300}));
}
