// Text keys: "key=value", each ended by a zero byte (RFC 7143 6.1). Reading gives views into the segment; writing appends to a string.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.hpp"

namespace diskless::iscsi::wire {

/// RFC 7143 6.1: a key name has at most 63 characters.
inline constexpr std::size_t max_key_bytes = 63;
/// In one negotiation step. Real initiators send 20; an answer to so many still fits into the 8192 bytes that every peer takes.
inline constexpr std::size_t max_keys = 96;
/// Names are at most 223 bytes, CHAP values 1024 (base64 or hexadecimal); nothing we understand is longer.
inline constexpr std::size_t max_value_bytes = 4096;

struct TextKey {
    std::string_view key, value;
    friend bool operator==(const TextKey&, const TextKey&) = default;
};

/// All keys of a segment, in order. Refuses malformed text, and a key that occurs twice.
[[nodiscard]] Decoded<std::vector<TextKey>> parse_text(std::string_view text);

inline void append_text(std::string& text, std::string_view key, std::string_view value) {
    text.append(key).append(1, '=').append(value).append(1, '\0');
}

/// The value of `key`, if it is there.
[[nodiscard]] std::optional<std::string_view> find_key(const std::vector<TextKey>& keys, std::string_view key) noexcept;

/// Decimal, or hexadecimal with 0x (RFC 7143 6.1: numerical-value), as far as it fits.
[[nodiscard]] std::optional<std::uint32_t> parse_number(std::string_view value) noexcept;

/// Takes the next item off a comma-separated list.
[[nodiscard]] std::string_view take_item(std::string_view& list) noexcept;

}  // namespace diskless::iscsi::wire
