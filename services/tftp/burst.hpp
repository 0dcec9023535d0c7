// Burst: many datagrams to one client with few system calls. UDP_SEGMENT (one call, one pass through the stack, 3-4 times cheaper) where
// the path carries it, sendmmsg elsewhere. The datagrams lie in place in one buffer, all of one size but the last.
#pragma once

#include <cstddef>

#include "common/asio.hpp"
#include "common/bytes.hpp"

namespace diskless::tftp {

class Burst {
 public:
    /// UDP_SEGMENT takes 64 segments and one IP datagram (65,535 bytes with its headers) at most; sendmmsg is kept to the same.
    static constexpr std::size_t max_datagrams = 64;
    static constexpr std::size_t max_bytes = 65'000;

    /// How many bytes of `datagrams` are off our hands: a whole number of datagrams, sent or lost (a full queue, a passing fault), which
    /// to TFTP is the same. 0: the socket takes nothing now, wait until it is writable. `socket` does not block.
    [[nodiscard]] std::size_t send(asio::ip::udp::socket& socket, const asio::ip::udp::endpoint& to, MutableByteSpan datagrams,
                                   std::size_t datagram_bytes) noexcept;

 private:
    bool segments_ = true;  // until the path refuses: datagrams above its MTU, or a device without checksums
};

}  // namespace diskless::tftp
