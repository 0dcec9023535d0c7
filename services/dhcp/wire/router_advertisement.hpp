// The smallest router advertisement (RFC 4861 4.2): "no router here". It ends a client's wait for one, and gives it neither a route nor an
// address.
#pragma once

#include <array>

#include "common/bytes.hpp"

namespace diskless::dhcp::wire {

inline constexpr std::uint8_t icmp6_router_solicitation = 133;
inline constexpr std::uint8_t icmp6_router_advertisement = 134;

/// Router lifetime 0, no options. The kernel fills in the checksum.
[[nodiscard]] std::array<std::byte, 16> router_advertisement() noexcept;
/// RFC 4861 6.1.1, what a raw ICMPv6 socket leaves to check: type, code, length.
[[nodiscard]] bool is_router_solicitation(ByteSpan icmp) noexcept;

}  // namespace diskless::dhcp::wire
