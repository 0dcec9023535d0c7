// Our addresses as Asio's, and back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/asio.hpp"
#include "common/network.hpp"

namespace diskless {

[[nodiscard]] inline asio::ip::address asio_address(const IpAddress& address) {
    if (const auto v4 = address.v4()) return asio::ip::address_v4{v4->value};
    asio::ip::address_v6::bytes_type bytes{};
    const Ipv6Address v6 = address.v6().value_or(Ipv6Address{});
    std::memcpy(bytes.data(), v6.octets.data(), bytes.size());
    return asio::ip::address_v6{bytes};
}

[[nodiscard]] inline IpAddress ip_address(const asio::ip::address& address) {
    if (address.is_v4()) return Ipv4Address{address.to_v4().to_uint()};
    const auto bytes = address.to_v6().to_bytes();
    return Ipv6Address::from(std::as_bytes(std::span{bytes}));
}

/// An IPv6 address that was just configured is still being tried for duplicates: a socket may be bound to it nevertheless.
template<class Socket>
void bind_early(Socket& socket) noexcept {
    const int on = 1;
    (void)::setsockopt(socket.native_handle(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
}

}  // namespace diskless
