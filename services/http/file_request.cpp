#include "services/http/file_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace diskless::http {
namespace {

std::optional<std::uint64_t> digits(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

RangeResult parse_range(std::string_view header, std::uint64_t size_bytes) noexcept {
    constexpr std::string_view unit = "bytes=";
    if (!header.starts_with(unit)) return {};
    header.remove_prefix(unit.size());
    const auto dash = header.find('-');
    if (dash == std::string_view::npos) return {};
    const auto first = digits(header.substr(0, dash));
    const auto last = digits(header.substr(dash + 1));
    using Kind = RangeResult::Kind;
    if (dash == 0) {  // the last so many bytes
        if (!last) return {};
        if (*last == 0 || size_bytes == 0) return {Kind::unsatisfiable, {}};
        return {Kind::part, {size_bytes - std::min(*last, size_bytes), size_bytes - 1}};
    }
    if (!first || (!last && dash + 1 != header.size()) || (last && *last < *first)) return {};
    if (*first >= size_bytes) return {Kind::unsatisfiable, {}};
    return {Kind::part, {*first, std::min(last.value_or(size_bytes - 1), size_bytes - 1)}};
}

std::string http_date(std::time_t time) {
    std::tm utc{};
    ::gmtime_r(&time, &utc);
    std::array<char, 40> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    return {text.data(), length};
}

std::string etag(std::uint64_t size_bytes, std::time_t modified) {
    return fmt::format("\"{:x}-{:x}\"", size_bytes, static_cast<std::uint64_t>(modified));
}

bool not_modified(const Request& request, const std::string& tag, const std::string& date) noexcept {
    const auto tags = request.find(beast_http::field::if_none_match);
    if (tags != request.end()) return tags->value() == "*" || std::string_view{tags->value()}.contains(tag);
    const auto since = request.find(beast_http::field::if_modified_since);
    return since != request.end() && since->value() == date;
}

std::string_view content_type_of(std::string_view name) noexcept {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 5> types{{
        {".efi", "application/efi"},
        {".ipxe", "text/plain; charset=utf-8"},
        {".cfg", "text/plain; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".iso", "application/vnd.efi-iso"},
    }};
    const auto found = std::ranges::find_if(types, [name](const auto& type) { return name.ends_with(type.first); });
    return found == types.end() ? "application/octet-stream" : found->second;
}

}  // namespace diskless::http
