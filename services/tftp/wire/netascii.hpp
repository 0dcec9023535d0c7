// netascii: a text as TFTP's mode of that name sends it (RFC 1350 1, RFC 764): a line ends in CR LF, a CR of its own is CR NUL.
#pragma once

#include <string>
#include <string_view>

namespace diskless::tftp::wire {

[[nodiscard]] std::string to_netascii(std::string_view text);

}  // namespace diskless::tftp::wire
