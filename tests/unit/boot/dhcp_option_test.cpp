// DHCP options as administrators write them, and the octets that they become (RFC 2132, 3397, 3442).
#include "boot/dhcp_option.hpp"

#include <doctest/doctest.h>

using namespace diskless::boot;
using namespace std::string_literals;

namespace {

std::string octets_of(std::string_view text) {
    const auto option = DhcpOption::parse(text);
    REQUIRE_MESSAGE(option, text);
    CHECK(DhcpOption::parse(option->text()) == option);  // as the store keeps it
    return std::to_string(option->code) + ":" + option->value;
}

}  // namespace

TEST_CASE("options by name have their own type") {
    CHECK(octets_of("ntp-servers 192.168.77.1, 10.0.0.2") == "42:\xc0\xa8\x4d\x01\x0a\x00\x00\x02"s);
    CHECK(octets_of("interface-mtu 9000") == "26:\x23\x28"s);
    CHECK(octets_of("time-offset -3600") == "2:\xff\xff\xf1\xf0"s);
    CHECK(octets_of("ip-forwarding false") == "19:\0"s);
    CHECK(octets_of("nis-domain  the house ") == "40:the house");
    CHECK(octets_of("domain-search lab.lan, lan") == "119:\x03lab\x03lan\0\x03lan\0"s);
    CHECK(octets_of("classless-static-route 10.0.0.0/8 192.168.77.254, 0.0.0.0/0 192.168.77.1, 192.168.3.128/25 192.168.77.2") ==
          "121:\x08\x0a\xc0\xa8\x4d\xfe\0\xc0\xa8\x4d\x01\x19\xc0\xa8\x03\x80\xc0\xa8\x4d\x02"s);
    CHECK(octets_of("tftp-server-address 10.0.0.1") == "150:\x0a\0\0\x01"s);
}

TEST_CASE("options by number say their type") {
    CHECK(octets_of("224 text hello, world") == "224:hello, world");
    CHECK(octets_of("224 hex 00ff10") == "224:\0\xff\x10"s);
    CHECK(octets_of("225 u8 7") == "225:\x07");
    CHECK(octets_of("225 u32 7") == "225:\0\0\0\x07"s);
    CHECK(octets_of("42 ip 10.0.0.1") == "42:\x0a\0\0\x01"s);
}

TEST_CASE("what is no option, has no such value, or is the server's own to make") {
    for (const std::string_view wrong : {"",
                                         " ",
                                         "ntp-servers",
                                         "ntp-servers x",
                                         "ntp-servers 10.0.0.1,",
                                         "no-such-option 1",
                                         "224",
                                         "224 text",
                                         "224 hex 0",
                                         "224 hex zz",
                                         "224 hex",
                                         "224 u8 256",
                                         "224 u8 -1",
                                         "256 text x",
                                         "-1 text x",
                                         "interface-mtu 65536",
                                         "ip-forwarding yes",
                                         "domain-search a..b",
                                         "domain-search a b",
                                         "classless-static-route 10.0.0.1/8 10.0.0.1",
                                         "classless-static-route 10.0.0.0/8",
                                         "53 u8 5",
                                         "54 ip 10.0.0.1",
                                         "67 text x",
                                         "43 hex 06",
                                         "82 hex 01",
                                         "0 hex 00",
                                         "255 hex 00",
                                         "1 ip 255.0.0.0"})
        CHECK_MESSAGE(!DhcpOption::parse(wrong), wrong);
    CHECK_FALSE(DhcpOption::parse("domain-search " + std::string(64, 'a')));
    CHECK_FALSE(DhcpOption::parse("224 text " + std::string(1025, 'a')));
}

TEST_CASE("what is nearer wins, code by code") {
    const DhcpOption near{42, "near"}, far{42, "far"}, other{15, "other"};
    CHECK(with_defaults({near}, {far, other}) == std::vector{near, other});
    CHECK(with_defaults({}, {far}) == std::vector{far});
    CHECK(with_defaults({near}, {}) == std::vector{near});
}
