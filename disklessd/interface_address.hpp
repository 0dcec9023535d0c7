// Which address the boot network's interface has: what clients are told, and where the services listen.
#pragma once

#include <string>
#include <vector>

#include "common/network.hpp"

namespace diskless {

/// The first IPv4 address of `interface`. Throws std::runtime_error that names the interfaces there are.
[[nodiscard]] Ipv4Address address_of_interface(const std::string& interface);
/// The interface that carries `address`, or empty.
/// Its IPv6 addresses but link-local ones.
[[nodiscard]] std::vector<Ipv6Address> addresses6_of(const std::string& interface);
[[nodiscard]] std::string interface_with_address(Ipv4Address address);

/// The networks on an interface: whoever has an address of one is reached without a gateway.
[[nodiscard]] std::vector<Ipv4Network> links_of(const std::string& interface);

}  // namespace diskless
