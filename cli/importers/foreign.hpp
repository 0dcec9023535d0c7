// What other DHCP servers' configurations know of a network, as values; readers for three of them, and the writer of our own tables. Pure.
// Bad input is no error: what is not understood is a note, with its line where there is one.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/network.hpp"

namespace diskless::cli {

struct ForeignHost {
    std::string name;  ///< as it was written; empty: it has none
    std::vector<MacAddress> macs;
    std::optional<Ipv4Address> address;
};

struct ForeignSubnet {
    Ipv4Network network;
    std::vector<Ipv4Range> pools;
    std::optional<Ipv4Address> router;
    std::vector<Ipv4Address> dns;
    std::string domain;  ///< in lower case
    std::optional<std::chrono::seconds> lease_time;
};

struct ForeignNetwork {
    std::vector<ForeignSubnet> subnets;
    std::vector<ForeignHost> hosts;
    std::vector<std::string> notes;  ///< what was left out, and why; for people
};

enum class ForeignKind : std::uint8_t { dnsmasq, dhcpd, kea };
[[nodiscard]] std::string_view name_of(ForeignKind kind) noexcept;
/// By what the text looks like.
[[nodiscard]] ForeignKind kind_of(std::string_view text) noexcept;

[[nodiscard]] ForeignNetwork read_dnsmasq(std::string_view text);
[[nodiscard]] ForeignNetwork read_dhcpd(std::string_view text);
[[nodiscard]] ForeignNetwork read_kea(std::string_view text);
[[nodiscard]] ForeignNetwork read_foreign(ForeignKind kind, std::string_view text);

/// As tables of diskless.toml. Names become such as ours are: unique, lower case; a domain that is none is left out. `group`: what every
/// client belongs to; may be empty.
[[nodiscard]] std::string write_toml(const ForeignNetwork& network, std::string_view group);

// --- what the readers share ---------------------------------------------------------------------------------------------------------

[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
/// ASCII letters in lower case.
[[nodiscard]] std::string lower(std::string_view text);
/// 255.255.255.0 is 24. Nothing: ones behind zeros.
[[nodiscard]] std::optional<unsigned> prefix_length(Ipv4Address mask) noexcept;
/// The network of that length that the address is in.
[[nodiscard]] std::optional<Ipv4Network> network_around(Ipv4Address address, unsigned prefix);

}  // namespace diskless::cli
