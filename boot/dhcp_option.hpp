// DhcpOption: a DHCP option that an administrator wants machines to have (RFC 2132 and later ones), written by name or by number. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace diskless::boot {

struct DhcpOption {
    std::uint8_t code = 0;
    std::string value;  ///< as it goes into a packet
    friend bool operator==(const DhcpOption&, const DhcpOption&) = default;

    /// "ntp-servers 192.168.77.1, 192.168.77.2"; of codes without a name here, the type comes first: "224 text hello", "150 ip 10.0.0.1",
    /// "224 u8|u16|u32 5", "224 hex 01ff". Nothing: no such option, a value of the wrong kind, or an option that the server makes itself.
    static std::optional<DhcpOption> parse(std::string_view text);
    /// "224 hex 01ff", which parse() reads whatever the option is.
    [[nodiscard]] std::string text() const;
};

/// What of `defaults` is in `own` already is left out; `own` comes first.
[[nodiscard]] std::vector<DhcpOption> with_defaults(std::vector<DhcpOption> own, const std::vector<DhcpOption>& defaults);

}  // namespace diskless::boot
