// Small text values: sizes and durations as people write them, and what a peer sent made safe for a log line.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace diskless {

/// "20GiB", "512MiB", "10GB", "4096"; binary and decimal units, no fractions. Result in bytes.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;
std::string print_size(std::uint64_t size_bytes);

/// "12h", "30m", "90s", "7d", "500ms", "45" (seconds).
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept;

/// Printable ASCII as it is, everything else as \xNN; longer texts are cut at `limit` bytes. For anything a peer chose.
std::string escaped(std::string_view text, std::size_t limit = 120);

/// "*" stands for any run of characters, "?" for one; no other magic. Linear in practice, never exponential.
bool matches_wildcard(std::string_view pattern, std::string_view text) noexcept;

/// The candidate nearest to `word` by edit distance, or nothing when none is near enough to be a slip of the finger.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace diskless
