#include "services/dhcp/wire/router_advertisement.hpp"

#include <algorithm>

namespace diskless::dhcp::wire {

std::vector<std::byte> router_advertisement(std::span<const Ipv6Network> managed) {
    constexpr std::byte managed_and_other{0xc0};
    constexpr std::byte on_link{0x80};  // and no addresses of the machines' own making
    constexpr std::uint32_t for_ever = 0xffffffff;
    constexpr std::size_t header_bytes = 16, prefix_bytes = 32;
    std::vector<std::byte> bytes(header_bytes + managed.size() * prefix_bytes);
    bytes[0] = std::byte{icmp6_router_advertisement};
    bytes[4] = std::byte{64};  // current hop limit
    if (!managed.empty()) bytes[5] = managed_and_other;
    for (std::size_t i = 0; i < managed.size(); ++i) {
        const MutableByteSpan prefix = MutableByteSpan{bytes}.subspan(header_bytes + i * prefix_bytes, prefix_bytes);
        prefix[0] = std::byte{3};
        prefix[1] = std::byte{prefix_bytes / 8};
        prefix[2] = std::byte{managed[i].prefix_length};
        prefix[3] = on_link;
        store_be(prefix, 4, for_ever);
        store_be(prefix, 8, for_ever);
        std::ranges::copy(managed[i].address.octets, prefix.begin() + 16);
    }
    return bytes;
}

bool is_router_solicitation(ByteSpan icmp) noexcept {
    return icmp.size() >= 8 && icmp[0] == std::byte{icmp6_router_solicitation} && icmp[1] == std::byte{0};
}

}  // namespace diskless::dhcp::wire
