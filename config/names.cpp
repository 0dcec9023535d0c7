#include "config/names.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace diskless::config {
namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_label_char(char c) noexcept { return is_lower(c) || is_digit(c) || c == '-'; }

/// Labels with dots between them.
bool is_domain(std::string_view text) noexcept {
    while (true) {
        const std::string_view label = text.substr(0, text.find('.'));
        if (label.empty() || label.front() == '-' || label.back() == '-' || !std::ranges::all_of(label, is_label_char)) return false;
        if (label.size() == text.size()) return true;
        text.remove_prefix(label.size() + 1);
    }
}

/// "2026-11."
bool is_dated(std::string_view text) noexcept {
    if (text.size() < 8 || text[4] != '-' || text[7] != '.') return false;
    if (!std::ranges::all_of(text.substr(0, 4), is_digit) || !is_digit(text[5]) || !is_digit(text[6])) return false;
    const int month = (text[5] - '0') * 10 + (text[6] - '0');
    return month >= 1 && month <= 12;
}

}  // namespace

bool is_name(std::string_view text) noexcept { return text.size() <= max_name_length && is_domain(text); }

std::optional<std::string> parse_name(std::string_view text) noexcept {
    return is_name(text) ? std::optional{std::string{text}} : std::nullopt;
}

std::optional<std::string> parse_boot_path(std::string_view text) noexcept {
    if (text.empty() || text.front() == '/' || text.contains('\\') || text.contains(' ')) return std::nullopt;
    for (std::string_view rest = text; !rest.empty();) {
        const std::string_view part = rest.substr(0, rest.find('/'));
        if (part == "..") return std::nullopt;
        rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    }
    return std::string{text};
}

std::optional<std::string> parse_name_template(std::string_view text) noexcept {
    std::string example;
    bool differs = false;
    for (std::string_view rest = text; !rest.empty();) {
        const std::string_view word = rest.substr(0, rest.starts_with('{') ? rest.find('}') + 1 : 1);
        if (word.empty()) return std::nullopt;  // never closed
        if (word.starts_with('{')) {
            const bool number = word == "{n}" || word == "{nn}" || word == "{nnn}";
            if (!number && word != "{mac}" && word != "{group}") return std::nullopt;
            differs = differs || number || word == "{mac}";
            example += word == "{mac}" ? "525400123401" : "1";
        } else {
            example += word;
        }
        rest.remove_prefix(word.size());
    }
    return differs && is_name(example) ? std::optional{std::string{text}} : std::nullopt;
}

bool is_domain_name(std::string_view text) noexcept { return text.size() <= 253 && is_domain(text); }

bool is_target_prefix(std::string_view text) noexcept {
    static constexpr std::string_view iqn = "iqn.";
    static constexpr std::size_t date_length = sizeof("2026-11.") - 1;
    if (text.size() > max_target_prefix_length || !text.starts_with(iqn) || !is_dated(text.substr(iqn.size()))) return false;
    text.remove_prefix(iqn.size() + date_length);
    const auto colon = text.find(':');
    if (!is_domain(text.substr(0, colon))) return false;
    if (colon == std::string_view::npos) return true;
    const std::string_view more = text.substr(colon + 1);
    return !more.empty() && std::ranges::all_of(more, [](char c) { return is_label_char(c) || c == '.' || c == ':'; });
}

std::optional<std::string> parse_initiator_pattern(std::string_view text) noexcept {
    static constexpr std::string_view forms[] = {"iqn.", "eui.", "naa."};
    if (text.empty() || text.size() > 223) return std::nullopt;
    if (std::ranges::any_of(text, [](char c) { return c <= ' ' && c >= 0; })) return std::nullopt;
    const bool open = text.substr(0, 4).find_first_of("*?") != std::string_view::npos;
    if (!open && std::ranges::none_of(forms, [&](std::string_view form) { return text.starts_with(form); })) return std::nullopt;
    // The hexadecimal digits of eui. and naa. names come in both cases; an iqn. name is in lower case on the wire (RFC 3722).
    const bool hexadecimal = text.starts_with("eui.") || text.starts_with("naa.");
    if (!hexadecimal && std::ranges::any_of(text, [](char c) { return c >= 'A' && c <= 'Z'; })) return std::nullopt;
    return std::string{text};
}

std::optional<std::string> parse_chap_user(std::string_view text) noexcept {
    const bool whole = std::ranges::none_of(text, [](char c) { return c == ' ' || c == '\t'; });
    if (text.empty() || text.size() > max_chap_word_length || !whole) return std::nullopt;
    return std::string{text};
}

std::optional<Ipv4Range> parse_addresses(std::string_view text) noexcept {
    if (const auto network = Ipv4Network::parse(text); network && text.contains('/'))
        return Ipv4Range{network->address, network->broadcast()};
    return Ipv4Range::parse(text);
}

std::optional<std::string> parse_redirect(std::string_view text) noexcept {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const std::string_view host = text.substr(0, colon), port_text = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc{} || end != port_text.data() + port_text.size() || port == 0) return std::nullopt;
    if (!is_domain_name(host) && !Ipv4Address::parse(host)) return std::nullopt;
    return std::string{text};
}

std::optional<ImageReference> parse_image_reference(std::string_view text) noexcept {
    const auto at = text.find('@');
    ImageReference reference{.name = text.substr(0, at)};
    if (!is_name(reference.name)) return std::nullopt;
    if (at == std::string_view::npos) return reference;
    const std::string_view digits = text.substr(at + 1);
    unsigned version = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
    if (error != std::errc{} || end != digits.data() + digits.size() || version == 0) return std::nullopt;
    reference.version = version;
    return reference;
}

std::optional<boot::DhcpOption> parse_dhcp_option(std::string_view text) noexcept { return boot::DhcpOption::parse(text); }

}  // namespace diskless::config
