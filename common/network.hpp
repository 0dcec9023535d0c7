// Addresses as values: MAC, IPv4 address, network, range, IPv6 address and network, and the SMBIOS UUID of a machine. Parse from text,
// print by fmt; no sockets here.
#pragma once

#include <fmt/format.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/bytes.hpp"

namespace diskless {

/// An Ethernet address (EUI-48).
struct MacAddress {
    std::array<std::byte, 6> octets{};

    /// "52:54:00:12:34:01", also with '-' or without separators; upper or lower case.
    static std::optional<MacAddress> parse(std::string_view text) noexcept;
    /// The first six bytes; the caller has checked that there are six.
    static MacAddress from(ByteSpan bytes) noexcept;
    [[nodiscard]] std::string text(char separator = ':') const;
    [[nodiscard]] bool is_multicast() const noexcept { return (octets[0] & std::byte{1}) != std::byte{0}; }

    friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

/// An IPv4 address in host byte order.
struct Ipv4Address {
    std::uint32_t value = 0;

    static std::optional<Ipv4Address> parse(std::string_view text) noexcept;
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool is_unspecified() const noexcept { return value == 0; }
    static constexpr Ipv4Address broadcast() noexcept { return {0xffffffff}; }

    friend auto operator<=>(const Ipv4Address&, const Ipv4Address&) = default;
};

/// "192.168.77.0/24". The address part is the network's own (host bits zero) after parse().
struct Ipv4Network {
    Ipv4Address address;
    std::uint8_t prefix_length = 0;

    /// Refuses host bits that are set, and prefixes above 32.
    static std::optional<Ipv4Network> parse(std::string_view text) noexcept;
    [[nodiscard]] std::uint32_t mask() const noexcept { return prefix_length == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix_length); }
    [[nodiscard]] bool contains(Ipv4Address a) const noexcept { return (a.value & mask()) == address.value; }
    [[nodiscard]] Ipv4Address broadcast() const noexcept { return {address.value | ~mask()}; }
    [[nodiscard]] std::string text() const;

    friend auto operator<=>(const Ipv4Network&, const Ipv4Network&) = default;
};

/// "192.168.77.100-192.168.77.199", both ends included; a single address is a range of one.
struct Ipv4Range {
    Ipv4Address first, last;

    static std::optional<Ipv4Range> parse(std::string_view text) noexcept;
    [[nodiscard]] bool contains(Ipv4Address a) const noexcept { return first <= a && a <= last; }
    [[nodiscard]] bool overlaps(const Ipv4Range& other) const noexcept { return first <= other.last && other.first <= last; }
    [[nodiscard]] std::uint64_t size() const noexcept { return std::uint64_t{last.value} - first.value + 1; }
    [[nodiscard]] std::string text() const;

    friend auto operator<=>(const Ipv4Range&, const Ipv4Range&) = default;
};

/// An IPv6 address in network byte order.
struct Ipv6Address {
    std::array<std::byte, 16> octets{};

    /// RFC 4291 2.2, without a zone.
    static std::optional<Ipv6Address> parse(std::string_view text) noexcept;
    /// The first sixteen bytes; the caller has checked that there are sixteen.
    static Ipv6Address from(ByteSpan bytes) noexcept;
    /// As RFC 5952 writes it.
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool is_unspecified() const noexcept { return *this == Ipv6Address{}; }
    [[nodiscard]] bool is_link_local() const noexcept {
        return octets[0] == std::byte{0xfe} && (octets[1] & std::byte{0xc0}) == std::byte{0x80};
    }
    /// The MAC whose modified EUI-64 is this address's interface identifier (RFC 4291 appendix A); nothing: it is made another way.
    [[nodiscard]] std::optional<MacAddress> mac() const noexcept;

    friend auto operator<=>(const Ipv6Address&, const Ipv6Address&) = default;
};

/// "fd77::/64". The address part is the network's own (host bits zero) after parse().
struct Ipv6Network {
    Ipv6Address address;
    std::uint8_t prefix_length = 0;

    /// Refuses host bits that are set, and prefixes above 128.
    static std::optional<Ipv6Network> parse(std::string_view text) noexcept;
    [[nodiscard]] bool contains(const Ipv6Address& a) const noexcept;
    /// The address with its host bits zero.
    [[nodiscard]] Ipv6Address masked(Ipv6Address a) const noexcept;
    [[nodiscard]] std::string text() const;
    /// The address in a network of 64 bits at most whose interface identifier is the MAC's modified EUI-64.
    [[nodiscard]] Ipv6Address with(const MacAddress& mac) const noexcept;

    friend auto operator<=>(const Ipv6Network&, const Ipv6Network&) = default;
};

/// Where somebody is, by either protocol.
class IpAddress {
 public:
    IpAddress(Ipv4Address address) : address_{address} {}         // NOLINT(google-explicit-constructor): it is one
    IpAddress(const Ipv6Address& address) : address_{address} {}  // NOLINT(google-explicit-constructor): it is one

    [[nodiscard]] std::optional<Ipv4Address> v4() const noexcept;
    [[nodiscard]] std::optional<Ipv6Address> v6() const noexcept;
    [[nodiscard]] std::string text() const;
    /// As it stands in a URL: IPv6 in brackets (RFC 3986 3.2.2).
    [[nodiscard]] std::string host() const;

    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
    std::variant<Ipv4Address, Ipv6Address> address_;
};

/// A machine's UUID, bytes in the order of its text. DHCP option 97 and SMBIOS carry the first three fields little-endian: from_wire()
/// swaps them.
struct Uuid {
    std::array<std::byte, 16> octets{};

    static std::optional<Uuid> parse(std::string_view text) noexcept;
    /// From the 16 bytes behind option 97's type byte (RFC 4578 2.3).
    static Uuid from_wire(ByteSpan sixteen) noexcept;
    /// All zeros or all ones: what firmware without an identity sends. Never use it to find a client.
    [[nodiscard]] bool is_blank() const noexcept;
    [[nodiscard]] std::string text() const;

    friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

}  // namespace diskless

template<>
struct std::hash<diskless::MacAddress> {
    std::size_t operator()(const diskless::MacAddress& mac) const noexcept {
        std::uint64_t value = 0;
        std::memcpy(&value, mac.octets.data(), mac.octets.size());
        return static_cast<std::size_t>(value * 0x9e3779b97f4a7c15u);
    }
};
template<>
struct std::hash<diskless::Ipv6Address> {
    std::size_t operator()(const diskless::Ipv6Address& a) const noexcept {
        return std::hash<std::string_view>{}({reinterpret_cast<const char*>(a.octets.data()), a.octets.size()});
    }
};
template<>
struct std::hash<diskless::Ipv4Address> {
    std::size_t operator()(diskless::Ipv4Address a) const noexcept {
        return static_cast<std::size_t>(a.value * std::uint64_t{0x9e3779b97f4a7c15u});
    }
};

template<>
struct std::hash<diskless::IpAddress> {
    std::size_t operator()(const diskless::IpAddress& a) const noexcept {
        if (const auto v4 = a.v4()) return std::hash<diskless::Ipv4Address>{}(*v4);
        return std::hash<diskless::Ipv6Address>{}(*a.v6());
    }
};

// Everything with a text() prints with "{}".
template<class T>
    requires requires(const T& value) {
        { value.text() } -> std::convertible_to<std::string>;
    }
struct fmt::formatter<T> : fmt::formatter<std::string_view> {
    template<class Context>
    auto format(const T& value, Context& context) const {
        return fmt::formatter<std::string_view>::format(value.text(), context);
    }
};
