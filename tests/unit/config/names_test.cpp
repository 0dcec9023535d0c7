#include "config/names.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace diskless::config;

TEST_CASE("a name is a host name and the end of an iSCSI name") {
    for (const char* name : {"desk-01", "a", "7", "lab.desk-01", "xn--bcher-kva"}) {
        CAPTURE(name);
        CHECK(is_name(name));
    }
    for (const char* name :
         {"", "Desk", "desk_01", "-desk", "desk-", ".desk", "desk.", "a..b", "a.-b", "desk 1", "desk:1", "d\xc3\xa9sk"}) {
        CAPTURE(name);
        CHECK_FALSE(is_name(name));
    }
    CHECK(is_name(std::string(max_name_length, 'a')));
    CHECK_FALSE(is_name(std::string(max_name_length + 1, 'a')));
}

TEST_CASE("a target prefix is an iqn (RFC 7143 4.2.7.3.1), and leaves room for the names behind it") {
    for (const char* prefix : {"iqn.2026-11.lan.lab", "iqn.2026-11.bench", "iqn.1993-08.org.debian:storage.disk1"}) {
        CAPTURE(prefix);
        CHECK(is_target_prefix(prefix));
    }
    for (const char* prefix :
         {"", "iqn.", "iqn.2026-13.lan", "iqn.2026-00.lan", "iqn.26-11.lan", "iqn.2026-11.", "iqn.2026-11.Lan",
          "iqn.2026-11.lan:", "iqn.2026-11.lan..lab", "eui.02004567A425678D", "lab", "iqn.2026-11.lan lab", "IQN.2026-11.lan"}) {
        CAPTURE(prefix);
        CHECK_FALSE(is_target_prefix(prefix));
    }
    const std::string head = "iqn.2026-11.a:";
    const std::string longest = head + std::string(max_target_prefix_length - head.size(), 'a');
    CHECK(is_target_prefix(longest));
    CHECK((longest + ".initiator:" + std::string(max_name_length, 'a')).size() == 223);
    CHECK_FALSE(is_target_prefix(longest + "a"));
}

TEST_CASE("initiator patterns") {
    for (const char* pattern : {"*", "iqn.*", "iqn.1993-08.org.debian:01:abc", "eui.02004567A425678D", "?qn.1991-05.com.microsoft:pc"}) {
        CAPTURE(pattern);
        CHECK(parse_initiator_pattern(pattern) == std::string{pattern});
    }
    for (const char* pattern : {"", "desk-01", "iqn.2026-11.lan: x", "iqn.1991-05.com.Microsoft:pc", "iqn.2026-11.lan\t"}) {
        CAPTURE(pattern);
        CHECK_FALSE(parse_initiator_pattern(pattern));
    }
}

TEST_CASE("image references") {
    const auto plain = parse_image_reference("debian-12");
    REQUIRE(plain);
    CHECK(plain->name == "debian-12");
    CHECK_FALSE(plain->version);
    const auto third = parse_image_reference("debian-12@3");
    REQUIRE(third);
    CHECK(third->name == "debian-12");
    CHECK(third->version == 3u);
    for (const char* wrong : {"", "@3", "debian-12@", "debian-12@0", "debian-12@x", "debian-12@3x", "debian-12@3@4"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_image_reference(wrong));
    }
}
