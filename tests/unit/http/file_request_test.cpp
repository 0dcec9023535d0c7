// Ranges and conditions of RFC 9110, as values.
#include "services/http/file_request.hpp"

#include <doctest/doctest.h>

using namespace diskless::http;
using Kind = RangeResult::Kind;

TEST_CASE("ranges: parts, suffixes, open ends, and what cannot be satisfied") {
    struct Case {
        const char* header = nullptr;
        Kind kind{};
        ByteRange range;
    };
    for (const auto& [header, kind, range] : {
             Case{"bytes=0-99", Kind::part, {0, 99}},
             Case{"bytes=990-2000", Kind::part, {990, 999}},
             Case{"bytes=500-", Kind::part, {500, 999}},
             Case{"bytes=-10", Kind::part, {990, 999}},
             Case{"bytes=-5000", Kind::part, {0, 999}},
             Case{"bytes=1000-", Kind::unsatisfiable, {}},
             Case{"bytes=-0", Kind::unsatisfiable, {}},
             Case{"bytes=u-u", Kind::whole, {}},  // iPXE of the network cards
             Case{"bytes=5-3", Kind::whole, {}},
             Case{"bytes=0-1,5-6", Kind::whole, {}},
             Case{"bytes=", Kind::whole, {}},
             Case{"bytes=-", Kind::whole, {}},
             Case{"lines=1-2", Kind::whole, {}},
             Case{"bytes=99999999999999999999-", Kind::whole, {}},
             Case{"", Kind::whole, {}},
         }) {
        CAPTURE(header);
        const RangeResult result = parse_range(header, 1000);
        CHECK(result.kind == kind);
        CHECK(result.range == range);
    }
    CHECK(parse_range("bytes=0-", 0).kind == Kind::unsatisfiable);
}

TEST_CASE("dates, tags and conditions") {
    CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 5.6.7
    const std::string tag = etag(1000, 784111777);
    const std::string date = http_date(784111777);
    Request request;
    CHECK_FALSE(not_modified(request, tag, date));
    request.set(beast_http::field::if_modified_since, date);
    CHECK(not_modified(request, tag, date));
    request.set(beast_http::field::if_none_match, "\"other\"");
    CHECK_FALSE(not_modified(request, tag, date));  // the tag counts more than the date
    request.set(beast_http::field::if_none_match, "\"other\", " + tag);
    CHECK(not_modified(request, tag, date));
}

TEST_CASE("firmware wants its loaders typed") {
    CHECK(content_type_of("snponly.efi") == "application/efi");
    CHECK(content_type_of("vmlinuz") == "application/octet-stream");
}
