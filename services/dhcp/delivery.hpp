// Delivery: how a reply travels to a client that may have no address yet (RFC 2131 4.1). Pure.
#pragma once

#include "services/dhcp/wire/message.hpp"

namespace diskless::dhcp {

struct Delivery {
    enum class Kind : std::uint8_t {
        relay,      ///< to the relay agent, on the server port
        unicast,    ///< the client has an address and answers ARP
        broadcast,  ///< to everybody on the link
        raw,        ///< a frame of our own to the client's MAC: it has no address yet and cannot answer ARP
    };
    Kind kind = Kind::broadcast;
    Ipv4Address address;
    MacAddress mac;

    friend bool operator==(const Delivery&, const Delivery&) = default;
};

/// `can_send_raw`: the transport may build frames; otherwise such replies are broadcast, which RFC 2131 allows.
[[nodiscard]] Delivery delivery_of(const wire::Header& reply, wire::MessageType type, bool can_send_raw) noexcept;

}  // namespace diskless::dhcp
