// A DHCPv6 message as a value, and its bytes (RFC 8415 8 and 9; options 21, RFC 5970 for booting, RFC 6939 for relays). What relays have
// wrapped around it is taken off here and put on again around the reply.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/network.hpp"
#include "common/result.hpp"

namespace diskless::dhcp::v6 {

enum class MessageType : std::uint8_t {
    solicit = 1,
    advertise,
    request,
    confirm,
    renew,
    rebind,
    reply,
    release,
    decline,
    reconfigure,
    information_request,
    relay_forward,
    relay_reply,
};
[[nodiscard]] std::string_view name_of(MessageType type) noexcept;

enum class Option : std::uint16_t {
    client_id = 1,
    server_id = 2,
    ia_na = 3,
    ia_address = 5,
    option_request = 6,
    preference = 7,
    relay_message = 9,
    status_code = 13,
    rapid_commit = 14,
    user_class = 15,
    vendor_class = 16,
    interface_id = 18,
    dns_servers = 23,
    domain_list = 24,
    boot_file_url = 59,             ///< RFC 5970 3.1
    client_architecture = 61,       ///< RFC 5970 3.3
    client_link_layer_address = 79  ///< RFC 6939
};

/// RFC 8415 21.13.
enum class Status : std::uint16_t { success = 0, no_addresses = 2, no_binding = 3, not_on_link = 4 };

/// IA_NA of a request.
struct Association {
    std::uint32_t id = 0;
    std::vector<Ipv6Address> addresses;
};

/// One relay between the client and here.
struct Hop {
    std::uint8_t count = 0;
    Ipv6Address link, peer;
    ByteSpan interface_id;                 ///< comes back as it was
    std::optional<MacAddress> link_layer;  ///< the client's, as the relay saw it
};

/// Views are into the datagram.
struct Request {
    MessageType type = MessageType::solicit;
    std::uint32_t transaction_id = 0;  ///< 24 bits
    ByteSpan client_id, server_id;     ///< DUIDs
    std::vector<Association> associations;
    ByteSpan requested;             ///< option 6, as it lies there
    std::string_view user_class;    ///< raw: with lengths in between
    std::string_view vendor_class;  ///< the first one's text
    std::optional<std::uint16_t> architecture;
    bool rapid_commit = false;
    std::vector<Hop> hops;  ///< the relay next to us first

    [[nodiscard]] bool asked_for(Option code) const noexcept;
};

inline constexpr std::size_t max_request_bytes = 4096;
inline constexpr std::size_t max_hops = 8;           ///< RFC 8415 7.6: HOP_COUNT_LIMIT
inline constexpr std::size_t max_associations = 16;  ///< and addresses in each
inline constexpr std::size_t max_duid_bytes = 130;   ///< RFC 8415 11.1

/// A message of a client, perhaps behind relays. Anything else is refused with a reason.
[[nodiscard]] Decoded<Request> decode(ByteSpan datagram) noexcept;

/// What a DUID tells of the machine (RFC 8415 11.2, 11.4; RFC 6355).
[[nodiscard]] std::optional<MacAddress> mac_in_duid(ByteSpan duid) noexcept;
[[nodiscard]] std::optional<ByteSpan> uuid_in_duid(ByteSpan duid) noexcept;
/// DUID-LL of an Ethernet card.
[[nodiscard]] std::vector<std::byte> duid_of(const MacAddress& mac);

/// One association of a reply: an address, or a status that says why not, or old addresses that count no more.
struct Granted {
    std::uint32_t id = 0;
    std::optional<Ipv6Address> address;
    std::vector<Ipv6Address> ended;
    std::optional<Status> status;
};

struct Reply {
    MessageType type = MessageType::reply;
    std::vector<Granted> granted;
    std::chrono::seconds valid{};  ///< how long addresses last; T1 and T2 are made of it (RFC 8415 21.4)
    std::optional<Status> status;
    std::optional<std::uint8_t> preference;
    bool rapid_commit = false;
    std::vector<Ipv6Address> dns;
    std::string domain;
    std::string boot_file_url;
    std::string vendor_class;  ///< behind Intel's enterprise number, as UEFI wants it
};

/// The reply to `request`, wrapped for its relays.
[[nodiscard]] std::vector<std::byte> encode(const Reply& reply, const Request& request, ByteSpan server_id);

}  // namespace diskless::dhcp::v6
