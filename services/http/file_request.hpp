// What RFC 9110 says about a GET of a file: conditions (13) and ranges (14). Pure.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "services/http/answer.hpp"

namespace diskless::http {

struct ByteRange {
    std::uint64_t first = 0, last = 0;  ///< both included
    friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct RangeResult {
    enum class Kind : std::uint8_t { whole, part, unsatisfiable } kind = Kind::whole;
    ByteRange range;
};
/// One range of bytes. Deviation: what cannot be read (iPXE sends "bytes=u-u"), and lists of ranges, count as no header at all; RFC
/// 9110 14.2 allows it.
[[nodiscard]] RangeResult parse_range(std::string_view header, std::uint64_t size_bytes) noexcept;

[[nodiscard]] std::string http_date(std::time_t time);
[[nodiscard]] std::string etag(std::uint64_t size_bytes, std::time_t modified);
/// If-None-Match, else If-Modified-Since: the client has it already.
[[nodiscard]] bool not_modified(const Request& request, const std::string& tag, const std::string& date) noexcept;
/// By the name's ending. `.efi` matters: firmware refuses a loader of another type.
[[nodiscard]] std::string_view content_type_of(std::string_view name) noexcept;

}  // namespace diskless::http
