// Replies: what an OFFER, ACK, NAK or BOOTP reply says (RFC 2131 4.3.1, table 3). Pure. Options come in order of need, so that a small
// packet loses the least important ones; the boot options are computed last of all, from the boot plan.
#pragma once

#include "boot/catalog.hpp"
#include "boot/plan.hpp"
#include "config/config.hpp"
#include "services/dhcp/lease_table.hpp"
#include "services/dhcp/wire/message.hpp"

namespace diskless::dhcp {

/// One request with what was found out about it.
struct Exchange {
    const wire::Request& request;
    const boot::Catalog& catalog;
    Seconds now;
    const boot::Client* client = nullptr;  ///< nullptr: nobody declared this machine
    boot::Firmware firmware;
    std::size_t subnet_index = 0;
    const config::Subnet& subnet;

    [[nodiscard]] const MacAddress& mac() const noexcept { return request.header.chaddr; }
    /// Option 55; a client without such a list takes what there is.
    [[nodiscard]] bool asked_for(wire::Option code) const noexcept;
};

/// `with_lease`: lease time, T1 and T2 are said. The relay's option is a view into the request.
[[nodiscard]] wire::Reply make_reply(const Exchange& exchange, const boot::BootServer& server, wire::MessageType type, Ipv4Address address,
                                     bool with_lease);
/// Beside another server: what to boot, and no address (PXE 2.1 2.2.3). The relay's option is a view into the request.
[[nodiscard]] wire::Reply make_proxy_reply(const wire::Request& request, const boot::BootServer& server, wire::MessageType type,
                                           boot::BootPlan plan);
/// Octets of a reply's UDP payload at most. OVMF says ff00 in its REQUEST, others less than RFC 2131 allows: neither is believed further
/// than it goes. BOOTP knows no such option.
[[nodiscard]] std::size_t reply_limit(const wire::Request& request) noexcept;
[[nodiscard]] wire::Reply make_nak(const Exchange& exchange, const boot::BootServer& server);

}  // namespace diskless::dhcp
