#include "common/network.hpp"

#include <doctest/doctest.h>

using namespace diskless;

TEST_CASE("MAC addresses: every way people write them") {
    const auto mac = MacAddress::parse("52:54:00:12:34:0A");
    REQUIRE(mac);
    CHECK(mac->text() == "52:54:00:12:34:0a");
    CHECK(mac->text('-') == "52-54-00-12-34-0a");
    CHECK(MacAddress::parse("52-54-00-12-34-0a") == mac);
    CHECK(MacAddress::parse("52540012340a") == mac);
    for (const char* wrong : {"", "52:54:00:12:34", "52:54:00:12:34:0a:", "52:54:00:12:34:0g", "52:54:00:12:34:0a:0b", "5254.0012.340a",
                              ":52:54:00:12:34:0a"}) {
        CAPTURE(wrong);
        CHECK_FALSE(MacAddress::parse(wrong));
    }
}

TEST_CASE("IPv4 addresses, networks and ranges") {
    CHECK(Ipv4Address::parse("192.168.77.1")->text() == "192.168.77.1");
    for (const char* wrong : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.x", " 1.2.3.4", "1..2.3", "0001.2.3.4"}) {
        CAPTURE(wrong);
        CHECK_FALSE(Ipv4Address::parse(wrong));
    }
    const auto network = Ipv4Network::parse("192.168.77.0/24");
    REQUIRE(network);
    CHECK(network->contains(*Ipv4Address::parse("192.168.77.255")));
    CHECK_FALSE(network->contains(*Ipv4Address::parse("192.168.78.0")));
    CHECK(network->broadcast().text() == "192.168.77.255");
    CHECK_FALSE(Ipv4Network::parse("192.168.77.1/24"));
    CHECK_FALSE(Ipv4Network::parse("192.168.77.0/33"));
    CHECK(Ipv4Network::parse("0.0.0.0/0")->mask() == 0);
    const auto range = Ipv4Range::parse("10.0.0.5-10.0.0.9");
    REQUIRE(range);
    CHECK(range->size() == 5);
    CHECK(range->overlaps(*Ipv4Range::parse("10.0.0.9")));
    CHECK_FALSE(range->overlaps(*Ipv4Range::parse("10.0.0.10-10.0.0.11")));
    CHECK_FALSE(Ipv4Range::parse("10.0.0.9-10.0.0.5"));
}

// RFC 4578 2.3 and SMBIOS 7.2.1: the first three fields are little-endian on the wire.
TEST_CASE("UUIDs from DHCP have their fields swapped") {
    const auto uuid = Uuid::parse("00112233-4455-6677-8899-aabbccddeeff");
    REQUIRE(uuid);
    std::array<std::byte, 16> wire{};
    const unsigned char octets[] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    std::memcpy(wire.data(), octets, sizeof octets);
    CHECK(Uuid::from_wire(wire) == *uuid);
    CHECK(uuid->text() == "00112233-4455-6677-8899-aabbccddeeff");
    CHECK(Uuid{}.is_blank());
    CHECK(Uuid::parse("ffffffff-ffff-ffff-ffff-ffffffffffff")->is_blank());
    CHECK_FALSE(uuid->is_blank());
}
