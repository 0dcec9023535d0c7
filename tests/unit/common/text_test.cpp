#include "common/text.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace diskless;
using namespace std::chrono_literals;

TEST_CASE("sizes and durations as people write them") {
    CHECK(parse_size("20GiB") == std::uint64_t{20} << 30);
    CHECK(parse_size("10 GB") == 10'000'000'000u);
    CHECK(parse_size("4096") == 4096u);
    for (const char* wrong : {"", "GiB", "20Gib", "-1", "20GiBs", "99999999999TiB", "1.5GiB"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_size(wrong));
    }
    CHECK(print_size(std::uint64_t{20} << 30) == "20GiB");
    CHECK(print_size(1536) == "1536B");
    CHECK(parse_duration("12h") == 12h);
    CHECK(parse_duration("500ms") == 500ms);
    CHECK(parse_duration("45") == 45s);
    CHECK_FALSE(parse_duration("12 hours"));
}

TEST_CASE("what a peer sent cannot break a log line") {
    CHECK(escaped("plain text") == "plain text");
    CHECK(escaped("a\nb\x1b[31m\\") == "a\\x0ab\\x1b[31m\\x5c");
    CHECK(escaped("abcdef", 3) == "abc...");
}

TEST_CASE("wildcards") {
    CHECK(matches_wildcard("*", ""));
    CHECK(matches_wildcard("iqn.1993-08.org.debian:*", "iqn.1993-08.org.debian:01:abc"));
    CHECK_FALSE(matches_wildcard("iqn.1993-08.org.debian:*", "iqn.2010-04.org.ipxe:x"));
    CHECK(matches_wildcard("a*b*c", "axxbyyc"));
    CHECK_FALSE(matches_wildcard("a*b*c", "axxbyy"));
    CHECK(matches_wildcard("a?c", "abc"));
    CHECK_FALSE(matches_wildcard("", "a"));
}

TEST_CASE("the nearest word, when there is one near") {
    constexpr std::array<std::string_view, 3> words{"interface", "address", "data_dir"};
    CHECK(nearest("intreface", words) == "interface");
    CHECK(nearest("adress", words) == "address");
    CHECK_FALSE(nearest("zzzzzz", words));
}
