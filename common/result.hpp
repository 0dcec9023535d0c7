// "The peer is wrong" as a value: what every codec and machine returns instead of throwing (STYLE: errors, kind 1).
#pragma once

#include <expected>
#include <string_view>

namespace diskless {

/// Why a packet was refused. `reason` is a static string: it names a counter and a trace line, never text from the peer.
struct ProtocolError {
    std::string_view reason;

    friend bool operator==(const ProtocolError&, const ProtocolError&) = default;
};

template<class T>
using Decoded = std::expected<T, ProtocolError>;

[[nodiscard]] inline std::unexpected<ProtocolError> refuse(std::string_view reason) noexcept {
    return std::unexpected{ProtocolError{reason}};
}

}  // namespace diskless
