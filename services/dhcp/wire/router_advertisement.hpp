// A router advertisement (RFC 4861 4.2) that says "no router here". It ends a client's wait for one, and gives it neither a route nor an
// address; where DHCPv6 is served it sends machines there.
#pragma once

#include <span>
#include <vector>

#include "common/network.hpp"

namespace diskless::dhcp::wire {

inline constexpr std::uint8_t icmp6_router_solicitation = 133;
inline constexpr std::uint8_t icmp6_router_advertisement = 134;

/// Router lifetime 0. `managed`: networks on the link whose addresses DHCPv6 gives; with any, machines are told to ask it (RFC 4861 4.6.2).
/// The kernel fills in the checksum.
[[nodiscard]] std::vector<std::byte> router_advertisement(std::span<const Ipv6Network> managed = {});
/// RFC 4861 6.1.1, what a raw ICMPv6 socket leaves to check: type, code, length.
[[nodiscard]] bool is_router_solicitation(ByteSpan icmp) noexcept;

}  // namespace diskless::dhcp::wire
