// A DHCP lease as a value: what the responder decides on, what the store keeps, what an ACK promises (RFC 2131 1.3.5).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/network.hpp"

namespace diskless::boot {

using Seconds = std::chrono::sys_seconds;  // wall clock: a lease outlives the process

enum class LeaseState : std::uint8_t {
    bound,
    released,  ///< given back; the address is kept for its last holder while others are free
    declined,  ///< somebody else uses the address: not to be handed out before `expires`
};

struct Lease {
    Ipv4Address address;
    MacAddress mac;
    std::string client_id;  ///< option 61's bytes, empty when the client sent none
    std::string host_name;  ///< option 12 as the client sent it
    LeaseState state = LeaseState::bound;
    Seconds starts{};
    Seconds expires{};

    friend bool operator==(const Lease&, const Lease&) = default;
};

}  // namespace diskless::boot
