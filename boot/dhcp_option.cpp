#include "boot/dhcp_option.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <ranges>

#include "common/bytes.hpp"
#include "common/network.hpp"

namespace diskless::boot {
namespace {

constexpr std::size_t max_value = 1024;
constexpr std::size_t max_label = 63;

enum class Type : std::uint8_t { addresses, address, text, flag, u8, u16, u32, s32, domains, routes, hex };

struct Known {
    std::string_view name;  ///< IANA's, with hyphens; as Kea writes them
    std::uint8_t code;
    Type type;
};
constexpr std::array known{
    Known{"time-offset", 2, Type::s32},
    Known{"routers", 3, Type::addresses},
    Known{"time-servers", 4, Type::addresses},
    Known{"name-servers", 5, Type::addresses},
    Known{"domain-name-servers", 6, Type::addresses},
    Known{"log-servers", 7, Type::addresses},
    Known{"lpr-servers", 9, Type::addresses},
    Known{"host-name", 12, Type::text},
    Known{"domain-name", 15, Type::text},
    Known{"swap-server", 16, Type::address},
    Known{"ip-forwarding", 19, Type::flag},
    Known{"default-ip-ttl", 23, Type::u8},
    Known{"interface-mtu", 26, Type::u16},
    Known{"static-routes", 33, Type::addresses},
    Known{"arp-cache-timeout", 35, Type::u32},
    Known{"nis-domain", 40, Type::text},
    Known{"nis-servers", 41, Type::addresses},
    Known{"ntp-servers", 42, Type::addresses},
    Known{"netbios-name-servers", 44, Type::addresses},
    Known{"netbios-dd-server", 45, Type::addresses},
    Known{"netbios-node-type", 46, Type::u8},
    Known{"netbios-scope", 47, Type::text},
    Known{"font-servers", 48, Type::addresses},
    Known{"x-display-manager", 49, Type::addresses},
    Known{"smtp-server", 69, Type::addresses},
    Known{"pop-server", 70, Type::addresses},
    Known{"www-server", 72, Type::addresses},
    Known{"pcode", 100, Type::text},
    Known{"tcode", 101, Type::text},
    Known{"v6-only-preferred", 108, Type::u32},
    Known{"v4-captive-portal", 114, Type::text},
    Known{"domain-search", 119, Type::domains},
    Known{"classless-static-route", 121, Type::routes},
    Known{"tftp-server-address", 150, Type::addresses},
    Known{"wpad-url", 252, Type::text},
};
constexpr std::array<std::pair<std::string_view, Type>, 6> types{
    {{"ip", Type::addresses}, {"text", Type::text}, {"hex", Type::hex}, {"u8", Type::u8}, {"u16", Type::u16}, {"u32", Type::u32}}};

/// Those that the protocol or the boot plan decides, packet by packet.
bool is_the_servers(std::uint8_t code) noexcept {
    constexpr std::array<std::uint8_t, 16> own{0, 1, 17, 28, 43, 66, 67, 77, 82, 93, 94, 97, 118, 175, 203, 255};
    return (code >= 50 && code <= 61) || std::ranges::find(own, code) != own.end();
}

std::string_view trimmed(std::string_view text) noexcept {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

/// The first word; `text` is what follows it.
std::string_view take_word(std::string_view& text) noexcept {
    const std::string_view word = text.substr(0, text.find(' '));
    text = trimmed(text.substr(word.size()));
    return word;
}

template<class T>
std::optional<T> number(std::string_view text) noexcept {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

template<std::unsigned_integral T>
void append(std::string& out, T value) {
    std::array<std::byte, sizeof value> bytes{};
    store_be(MutableByteSpan{bytes}, 0, value);
    out += as_text(bytes);
}

/// Calls `add` for each element of a list with commas; false when one of them is none.
template<class Add>
bool for_each_element(std::string_view list, const Add& add) {
    for (const auto part : std::views::split(list, ',')) {
        if (!add(trimmed(std::string_view{part}))) return false;
    }
    return true;
}

bool append_address(std::string& out, std::string_view text) {
    const auto address = Ipv4Address::parse(text);
    if (address) append(out, address->value);
    return address.has_value();
}

/// RFC 1035 3.1: labels with their lengths, then the root. Not compressed, which RFC 3397 leaves to the server.
bool append_domain(std::string& out, std::string_view text) {
    for (const auto part : std::views::split(text, '.')) {
        const std::string_view label{part};
        const bool fits = !label.empty() && label.size() <= max_label && std::ranges::all_of(label, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        });
        if (!fits) return false;
        out += static_cast<char>(label.size());
        out += label;
    }
    out += '\0';
    return true;
}

/// RFC 3442: the length of the prefix, as many of its octets as matter, the router. "10.0.0.0/8 192.168.77.254"
bool append_route(std::string& out, std::string_view text) {
    const auto network = Ipv4Network::parse(take_word(text));
    if (!network) return false;
    out += static_cast<char>(network->prefix_length);
    std::string octets;
    append(octets, network->address.value);
    out += octets.substr(0, (network->prefix_length + 7U) / 8U);
    return append_address(out, text);
}

bool append_hex(std::string& out, std::string_view text) {
    if (text.empty() || text.size() % 2 != 0) return false;
    for (; !text.empty(); text.remove_prefix(2)) {
        const std::string_view pair = text.substr(0, 2);
        unsigned value = 0;
        const auto [end, error] = std::from_chars(pair.begin(), pair.end(), value, 16);
        if (error != std::errc{} || end != pair.end()) return false;
        out += static_cast<char>(value);
    }
    return true;
}

template<class T>
bool append_number(std::string& out, std::string_view text) {
    const auto value = number<T>(text);
    if (value) append(out, static_cast<std::make_unsigned_t<T>>(*value));
    return value.has_value();
}

bool append_value(std::string& out, Type type, std::string_view text) {
    switch (type) {
        case Type::addresses: return for_each_element(text, [&](std::string_view one) { return append_address(out, one); });
        case Type::address: return append_address(out, text);
        case Type::text: out = text; return !text.empty();
        case Type::flag: out = std::string(1, static_cast<char>(text == "true")); return text == "true" || text == "false";
        case Type::u8: return append_number<std::uint8_t>(out, text);
        case Type::u16: return append_number<std::uint16_t>(out, text);
        case Type::u32: return append_number<std::uint32_t>(out, text);
        case Type::s32: return append_number<std::int32_t>(out, text);
        case Type::domains: return for_each_element(text, [&](std::string_view one) { return append_domain(out, one); });
        case Type::routes: return for_each_element(text, [&](std::string_view one) { return append_route(out, one); });
        case Type::hex: return append_hex(out, text);
    }
    return false;
}

}  // namespace

std::optional<DhcpOption> DhcpOption::parse(std::string_view text) {
    text = trimmed(text);
    const std::string_view name = take_word(text);
    DhcpOption option;
    std::optional<Type> type;
    if (const auto* const found = std::ranges::find(known, name, &Known::name); found != known.end()) {
        option.code = found->code;
        type = found->type;
    } else if (const auto code = number<std::uint8_t>(name)) {
        option.code = *code;
        const std::string_view kind = take_word(text);
        const auto* const of = std::ranges::find(types, kind, &std::pair<std::string_view, Type>::first);
        if (of != types.end()) type = of->second;
    }
    if (!type || text.empty() || is_the_servers(option.code) || !append_value(option.value, *type, text) || option.value.size() > max_value)
        return std::nullopt;
    return option;
}

std::string DhcpOption::text() const {
    std::string hex;
    for (const char c : value) fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
    return fmt::format("{} hex {}", code, hex);
}

std::vector<DhcpOption> with_defaults(std::vector<DhcpOption> own, const std::vector<DhcpOption>& defaults) {
    const std::size_t count = own.size();
    for (const DhcpOption& option : defaults) {
        const auto end = own.begin() + static_cast<std::ptrdiff_t>(count);
        if (std::find_if(own.begin(), end, [&](const DhcpOption& o) { return o.code == option.code; }) == end) own.push_back(option);
    }
    return own;
}

}  // namespace diskless::boot
