#include "common/network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace diskless {
namespace {

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Exactly out.size() bytes as hex pairs, with any of `separators` allowed between pairs.
bool parse_hex(std::string_view text, std::string_view separators, std::span<std::byte> out) noexcept {
    std::size_t at = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (i > 0 && at < text.size() && separators.contains(text[at])) ++at;
        if (at + 2 > text.size()) return false;
        const int high = hex_digit(text[at]);
        const int low = hex_digit(text[at + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = static_cast<std::byte>(high * 16 + low);
        at += 2;
    }
    return at == text.size();
}

/// "Universally administered" in a MAC, and inverted in the identifier made of it (RFC 4291 2.5.1).
constexpr std::byte universal_bit{0x02};

/// SMBIOS stores the first three UUID fields little-endian (RFC 4578 2.3); the swap is its own inverse.
std::array<std::byte, 16> swap_uuid_fields(std::array<std::byte, 16> octets) noexcept {
    std::reverse(octets.begin(), octets.begin() + 4);
    std::reverse(octets.begin() + 4, octets.begin() + 6);
    std::reverse(octets.begin() + 6, octets.begin() + 8);
    return octets;
}

}  // namespace

std::optional<MacAddress> MacAddress::parse(std::string_view text) noexcept {
    MacAddress mac;
    if (!parse_hex(text, ":-", mac.octets)) return std::nullopt;
    return mac;
}

MacAddress MacAddress::from(ByteSpan bytes) noexcept {
    MacAddress mac;
    std::copy_n(bytes.begin(), mac.octets.size(), mac.octets.begin());
    return mac;
}

std::string MacAddress::text(char separator) const {
    std::string out;
    for (const std::byte octet : octets) {
        if (!out.empty()) out += separator;
        fmt::format_to(std::back_inserter(out), "{:02x}", std::to_integer<unsigned>(octet));
    }
    return out;
}

std::optional<Ipv4Address> Ipv4Address::parse(std::string_view text) noexcept {
    std::uint32_t value = 0;
    const char* at = text.data();
    const char* const end = at + text.size();
    for (int part = 0; part < 4; ++part) {
        if (part > 0) {
            if (at == end || *at != '.') return std::nullopt;
            ++at;
        }
        unsigned octet = 0;
        const auto [next, error] = std::from_chars(at, end, octet);
        if (error != std::errc{} || octet > 255 || next - at > 3) return std::nullopt;
        value = value << 8 | octet;
        at = next;
    }
    if (at != end) return std::nullopt;
    return Ipv4Address{value};
}

std::string Ipv4Address::text() const { return fmt::format("{}.{}.{}.{}", value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255); }

std::optional<Ipv4Network> Ipv4Network::parse(std::string_view text) noexcept {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = Ipv4Address::parse(text.substr(0, slash));
    const std::string_view digits = text.substr(slash + 1);
    unsigned prefix = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (!address || error != std::errc{} || end != digits.data() + digits.size() || prefix > 32) return std::nullopt;
    const Ipv4Network network{*address, static_cast<std::uint8_t>(prefix)};
    if ((address->value & ~network.mask()) != 0) return std::nullopt;
    return network;
}

std::string Ipv4Network::text() const { return fmt::format("{}/{}", address.text(), prefix_length); }

std::optional<Ipv4Range> Ipv4Range::parse(std::string_view text) noexcept {
    const auto dash = text.find('-');
    const auto first = Ipv4Address::parse(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : Ipv4Address::parse(text.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    return Ipv4Range{*first, *last};
}

std::string Ipv4Range::text() const { return first == last ? first.text() : fmt::format("{}-{}", first.text(), last.text()); }

std::optional<Ipv6Address> Ipv6Address::parse(std::string_view text) noexcept {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.size() >= terminated.size()) return std::nullopt;
    std::ranges::copy(text, terminated.begin());
    Ipv6Address address;
    if (::inet_pton(AF_INET6, terminated.data(), address.octets.data()) != 1) return std::nullopt;
    return address;
}

Ipv6Address Ipv6Address::from(ByteSpan bytes) noexcept {
    Ipv6Address address;
    std::copy_n(bytes.begin(), address.octets.size(), address.octets.begin());
    return address;
}

std::string Ipv6Address::text() const {
    std::array<char, INET6_ADDRSTRLEN> room{};
    return ::inet_ntop(AF_INET6, octets.data(), room.data(), room.size());
}

std::optional<MacAddress> Ipv6Address::mac() const noexcept {
    if (octets[11] != std::byte{0xff} || octets[12] != std::byte{0xfe}) return std::nullopt;
    return MacAddress{{octets[8] ^ universal_bit, octets[9], octets[10], octets[13], octets[14], octets[15]}};
}

std::optional<Ipv6Network> Ipv6Network::parse(std::string_view text) noexcept {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = Ipv6Address::parse(text.substr(0, slash));
    const std::string_view digits = text.substr(slash + 1);
    unsigned prefix = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (!address || error != std::errc{} || end != digits.data() + digits.size() || prefix > 128) return std::nullopt;
    const Ipv6Network network{*address, static_cast<std::uint8_t>(prefix)};
    return network.masked(*address) == *address ? std::optional{network} : std::nullopt;
}

Ipv6Address Ipv6Network::masked(Ipv6Address a) const noexcept {
    for (std::size_t i = 0; i < a.octets.size(); ++i) {
        const std::size_t bits = std::clamp<std::size_t>(prefix_length, i * 8, i * 8 + 8) - i * 8;
        a.octets[i] &= static_cast<std::byte>(0xff00u >> bits);
    }
    return a;
}

bool Ipv6Network::contains(const Ipv6Address& a) const noexcept { return masked(a) == address; }

std::string Ipv6Network::text() const { return fmt::format("{}/{}", address.text(), prefix_length); }

Ipv6Address Ipv6Network::with(const MacAddress& mac) const noexcept {
    Ipv6Address made = address;
    const auto& m = mac.octets;
    const std::array<std::byte, 8> identifier{m[0] ^ universal_bit, m[1], m[2], std::byte{0xff}, std::byte{0xfe}, m[3], m[4], m[5]};
    std::ranges::copy(identifier, made.octets.begin() + 8);
    return made;
}

std::optional<Ipv4Address> IpAddress::v4() const noexcept {
    const auto* held = std::get_if<Ipv4Address>(&address_);
    return held != nullptr ? std::optional{*held} : std::nullopt;
}

std::optional<Ipv6Address> IpAddress::v6() const noexcept {
    const auto* held = std::get_if<Ipv6Address>(&address_);
    return held != nullptr ? std::optional{*held} : std::nullopt;
}

std::string IpAddress::text() const {
    return std::visit([](const auto& held) { return held.text(); }, address_);
}

std::string IpAddress::host() const { return v6() ? fmt::format("[{}]", text()) : text(); }

std::optional<Uuid> Uuid::parse(std::string_view text) noexcept {
    Uuid uuid;
    if (!parse_hex(text, "-", uuid.octets)) return std::nullopt;
    return uuid;
}

Uuid Uuid::from_wire(ByteSpan sixteen) noexcept {
    Uuid uuid;
    std::copy_n(sixteen.begin(), uuid.octets.size(), uuid.octets.begin());
    uuid.octets = swap_uuid_fields(uuid.octets);
    return uuid;
}

bool Uuid::is_blank() const noexcept {
    const auto all = [this](std::byte value) { return std::ranges::all_of(octets, [value](std::byte b) { return b == value; }); };
    return all(std::byte{0}) || all(std::byte{0xff});
}

std::string Uuid::text() const {
    std::string out;
    for (std::size_t i = 0; i < octets.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        fmt::format_to(std::back_inserter(out), "{:02x}", std::to_integer<unsigned>(octets[i]));
    }
    return out;
}

}  // namespace diskless
