#include "services/dhcp/wire/router_advertisement.hpp"

namespace diskless::dhcp::wire {

std::array<std::byte, 16> router_advertisement() noexcept {
    std::array<std::byte, 16> bytes{};
    bytes[0] = std::byte{icmp6_router_advertisement};
    bytes[4] = std::byte{64};  // current hop limit
    return bytes;
}

bool is_router_solicitation(ByteSpan icmp) noexcept {
    return icmp.size() >= 8 && icmp[0] == std::byte{icmp6_router_solicitation} && icmp[1] == std::byte{0};
}

}  // namespace diskless::dhcp::wire
