// The DHCPv6 server's decisions (RFC 8415 18.3; RFC 5970 for booting). Pure: time and sockets are the service's.
// There are no leases to keep: a machine's address is its network's prefix and the EUI-64 of its MAC, so it is the same after any restart,
// nobody else's, and tells the other services who asks. A machine without a MAC that we know gets one made of its DUID.
#pragma once

#include <set>
#include <string>

#include "boot/catalog.hpp"
#include "boot/plan.hpp"
#include "config/config.hpp"
#include "services/dhcp/wire/v6_message.hpp"

namespace diskless::dhcp::v6 {

struct Decision {
    enum class Action : std::uint8_t { ignore, reply, enroll };
    Action action = Action::ignore;
    std::string_view reason;  ///< static
    Reply reply;
    std::optional<MacAddress> mac;         ///< nothing: nobody knows
    const boot::Client* client = nullptr;  ///< nullptr: nobody declared it
    boot::Firmware firmware;
    std::optional<Ipv6Address> address;  ///< its own, where the message is about addresses
};

class Responder {
 public:
    struct Setup {
        std::vector<config::Subnet6> subnets;
        config::UnknownPolicy unknown = config::UnknownPolicy::ignore;
        boot::BootServer server;  ///< with its address6
        std::vector<std::byte> duid;
    };
    explicit Responder(Setup setup) : setup_{std::move(setup)} {}

    /// `from`: where the message came from, its client or a relay.
    [[nodiscard]] Decision respond(const Request& request, const Ipv6Address& from, const boot::Catalog& catalog);
    [[nodiscard]] ByteSpan duid() const noexcept { return setup_.duid; }
    void set_duid(std::vector<std::byte> duid) { setup_.duid = std::move(duid); }

    /// Declined addresses that are remembered; what is declined beyond that is offered again.
    static constexpr std::size_t max_declined = 4096;

 private:
    struct Exchange;

    [[nodiscard]] const config::Subnet6* subnet_of(const Request& request) const noexcept;
    [[nodiscard]] Ipv6Address address_for(const Exchange& exchange) const;
    [[nodiscard]] std::string boot_url(const boot::BootPlan& plan) const;
    void add_settings(const Exchange& exchange, Decision& decision) const;
    void grant(const Exchange& exchange, Decision& decision) const;
    void confirm(const Exchange& exchange, Decision& decision) const;
    void release(const Exchange& exchange, Decision& decision) const;
    void decline(const Exchange& exchange, Decision& decision);

    Setup setup_;
    std::set<Ipv6Address> declined_;
};

}  // namespace diskless::dhcp::v6
