#include "services/iscsi/wire/text_keys.hpp"

#include <algorithm>
#include <charconv>

namespace diskless::iscsi::wire {
namespace {

// RFC 7143 6.1: standard-label: upper case first, then letters, digits and a few signs. Case matters.
bool is_key(std::string_view key) noexcept {
    constexpr auto allowed = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == '@' ||
               c == '_' || c == '#';
    };
    return !key.empty() && key.size() <= max_key_bytes && std::ranges::all_of(key, allowed);
}

}  // namespace

Decoded<std::vector<TextKey>> parse_text(std::string_view text) {
    std::vector<TextKey> keys;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\0'), text.size());
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty()) continue;  // "at least one null" ends a pair: more may follow
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) return refuse("text_without_equals");
        const TextKey key{.key = pair.substr(0, equals), .value = pair.substr(equals + 1)};
        if (!is_key(key.key)) return refuse("text_key_malformed");
        if (key.value.size() > max_value_bytes) return refuse("text_value_too_long");
        if (find_key(keys, key.key)) return refuse("text_key_twice");
        if (keys.size() == max_keys) return refuse("text_too_many_keys");
        keys.push_back(key);
    }
    return keys;
}

std::optional<std::string_view> find_key(const std::vector<TextKey>& keys, std::string_view key) noexcept {
    const auto found = std::ranges::find(keys, key, &TextKey::key);
    if (found == keys.end()) return std::nullopt;
    return found->value;
}

std::optional<std::uint32_t> parse_number(std::string_view value) noexcept {
    int base = 10;
    if (value.starts_with("0x") || value.starts_with("0X")) {
        value.remove_prefix(2);
        base = 16;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number, base);
    if (error != std::errc{} || end != value.data() + value.size()) return std::nullopt;
    return number;
}

std::string_view take_item(std::string_view& list) noexcept {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view item = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    return item;
}

}  // namespace diskless::iscsi::wire
