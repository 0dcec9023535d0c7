// A DHCP message as a value, and its bytes (RFC 2131 2; options RFC 2132, overload and long options RFC 3396).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/network.hpp"
#include "common/result.hpp"
#include "services/dhcp/wire/options.hpp"

namespace diskless::dhcp::wire {

/// Option 53; `bootp` is a request without it (RFC 1534).
enum class MessageType : std::uint8_t { bootp = 0, discover = 1, offer, request, decline, ack, nak, release, inform };
[[nodiscard]] std::string_view name_of(MessageType type) noexcept;

/// What is common to requests and replies.
struct Header {
    std::uint8_t op = 1;  ///< 1 BOOTREQUEST, 2 BOOTREPLY
    std::uint8_t hops = 0;
    std::uint32_t xid = 0;
    std::uint16_t secs = 0;
    std::uint16_t flags = 0;
    Ipv4Address ciaddr, yiaddr, siaddr, giaddr;
    MacAddress chaddr;

    static constexpr std::uint16_t broadcast_flag = 0x8000;
};

struct Request {
    Header header;
    MessageType type = MessageType::bootp;
    Options options;
};

struct Reply {
    Header header;
    std::string file;  ///< the boot file, for the `file` field (128 bytes with its NUL); longer ones go by option 67 alone
    OptionWriter options;
    /// RFC 3046 2.2: the relay's option comes back as it was, last. A view into the request.
    ByteSpan relay_agent_information;
};

inline constexpr std::size_t header_bytes = 236;
inline constexpr std::size_t min_message_bytes = 300;   ///< RFC 951: shorter BOOTP packets are dropped by some relays
inline constexpr std::size_t max_request_bytes = 4096;  ///< larger datagrams are no DHCP

/// A BOOTREQUEST over Ethernet. Anything else is refused with a reason.
[[nodiscard]] Decoded<Request> decode(ByteSpan datagram) noexcept;

/// Appends to `out` (cleared first). Never more than `limit_bytes`, which is the client's option 57 less the IP and UDP headers. False: the
/// mandatory options do not fit; optional ones are left out.
[[nodiscard]] bool encode(const Reply& reply, std::size_t limit_bytes, std::vector<std::byte>& out);

}  // namespace diskless::dhcp::wire
