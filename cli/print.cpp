#include "cli/print.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>

namespace diskless::cli {

namespace json = boost::json;

std::string text(const json::value& value) {
    if (value.is_null()) return "-";
    return value.is_string() ? std::string{value.as_string()} : json::serialize(value);
}

std::string bytes(std::uint64_t count) {
    constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    auto amount = static_cast<double>(count);
    std::size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < units.size(); ++unit) amount /= 1024;
    return fmt::format("{:.{}f} {}", amount, unit == 0 ? 0 : 1, units[unit]);
}

std::string bytes(const json::value& amount) { return bytes(amount.to_number<std::uint64_t>()); }

std::string age(std::int64_t seconds) {
    if (seconds < 60) return fmt::format("{} s", seconds);
    if (seconds < 3600) return fmt::format("{} min", seconds / 60);
    if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string date(const json::value& since_1970_ms) {
    return fmt::format("{:%Y-%m-%d %H:%M}", fmt::gmtime(since_1970_ms.to_number<std::int64_t>() / 1000));
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        std::puts(line.c_str());
    }
}

void print_json(const json::value& value) { std::puts(json::serialize(value).c_str()); }

}  // namespace diskless::cli
