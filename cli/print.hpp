// How answers of the server are printed for people.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace diskless::cli {

/// A text as it is, "-" for null, everything else as JSON.
[[nodiscard]] std::string text(const boost::json::value& value);
/// "1.5 GiB"
[[nodiscard]] std::string bytes(std::uint64_t amount);
[[nodiscard]] std::string bytes(const boost::json::value& amount);
/// "3 h 20 min"
[[nodiscard]] std::string age(std::int64_t seconds);
/// "2026-11-23 12:27", UTC
[[nodiscard]] std::string date(const boost::json::value& since_1970_ms);

/// Columns as wide as they have to be; the first row is the head.
void print_table(const std::vector<std::vector<std::string>>& rows);
void print_json(const boost::json::value& value);

}  // namespace diskless::cli
