// Who has a UDP port on this machine, for messages that name the program to stop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace diskless {

/// "dnsmasq (pid 812)". Nothing: nobody has it, or /proc does not tell us. Looks through /proc: for error messages only.
[[nodiscard]] std::optional<std::string> owner_of_udp_port(std::uint16_t port);

}  // namespace diskless
