#include "services/dhcp/delivery.hpp"

namespace diskless::dhcp {

Delivery delivery_of(const wire::Header& reply, wire::MessageType type, bool can_send_raw) noexcept {
    using Kind = Delivery::Kind;
    const MacAddress mac = reply.chaddr;
    if (!reply.giaddr.is_unspecified()) return {Kind::relay, reply.giaddr, mac};
    if (type == wire::MessageType::nak) return {Kind::broadcast, Ipv4Address::broadcast(), mac};
    if (!reply.ciaddr.is_unspecified()) return {Kind::unicast, reply.ciaddr, mac};
    const bool has_no_address = reply.yiaddr.is_unspecified();  // a proxy gives none
    if ((reply.flags & wire::Header::broadcast_flag) != 0 || !can_send_raw || has_no_address)
        return {Kind::broadcast, Ipv4Address::broadcast(), mac};
    return {Kind::raw, reply.yiaddr, mac};
}

}  // namespace diskless::dhcp
