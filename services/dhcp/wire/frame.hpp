// An Ethernet frame with IPv4 and UDP around a payload, for clients that have no address yet and cannot answer ARP (RFC 2131 4.1).
#pragma once

#include <vector>

#include "common/bytes.hpp"
#include "common/network.hpp"

namespace diskless::dhcp::wire {

struct Endpoint {
    MacAddress mac;
    Ipv4Address address;
    std::uint16_t port = 0;
};

/// RFC 894, 791, 768, with both checksums. `out` is cleared first.
void build_frame(const Endpoint& from, const Endpoint& to, ByteSpan payload, std::vector<std::byte>& out);

/// RFC 1071, over any number of parts.
class InternetChecksum {
 public:
    void add(ByteSpan bytes) noexcept;
    [[nodiscard]] std::uint16_t value() const noexcept;

 private:
    std::uint64_t sum_ = 0;
    bool odd_ = false;
};

}  // namespace diskless::dhcp::wire
