// Responder: what a DHCP server answers (RFC 2131 4.3). Pure: a request, the catalog, the leases and the time in; a decision out. The
// branches carry the names of the client's states in RFC 2131 4.4.
#pragma once

#include <algorithm>

#include "boot/catalog.hpp"
#include "boot/plan.hpp"
#include "config/config.hpp"
#include "services/dhcp/decision.hpp"
#include "services/dhcp/lease_table.hpp"
#include "services/dhcp/reply.hpp"

namespace diskless::dhcp {

class Responder {
 public:
    struct Setup {
        config::Dhcp dhcp;
        config::UnknownClients unknown_clients;
        boot::BootServer server;
    };
    explicit Responder(Setup setup);

    /// How long an offer is held for its client, and how long a declined address is left alone.
    static constexpr std::chrono::seconds offer_time{60};
    static constexpr std::chrono::seconds quarantine_time{600};
    /// Of a pool so much may be in quarantine by machines' own word, or a few liars could empty it.
    static constexpr std::uint64_t most_declined(std::uint64_t pool) noexcept { return std::max<std::uint64_t>(4, pool / 8); }

    [[nodiscard]] Decision respond(const wire::Request& request, const boot::Catalog& catalog, Seconds now);

    [[nodiscard]] LeaseTable& leases() noexcept { return leases_; }
    /// Addresses that are alive by other signs than a lease (an iSCSI session): never handed to somebody else.
    void set_in_use(LeaseTable::Unavailable in_use) { in_use_ = std::move(in_use); }

 private:
    Decision discover(const Exchange& exchange);
    Decision request(const Exchange& exchange);
    Decision selecting(const Exchange& exchange, Ipv4Address wanted);
    Decision init_reboot(const Exchange& exchange, Ipv4Address wanted);
    Decision renewing(const Exchange& exchange, Ipv4Address held);
    Decision release(const Exchange& exchange);
    Decision release(Ipv4Address address, const Exchange& exchange);
    Decision decline(const Exchange& exchange);
    Decision inform(const Exchange& exchange) const;
    Decision bootp(const Exchange& exchange) const;

    [[nodiscard]] std::optional<std::size_t> subnet_holding(Ipv4Address address) const;
    [[nodiscard]] std::optional<std::size_t> subnet_of(const wire::Request& request) const;
    [[nodiscard]] std::optional<Ipv4Address> reservation(const Exchange& exchange) const;
    [[nodiscard]] bool may_have(const Exchange& exchange, Ipv4Address address) const;
    [[nodiscard]] bool may_keep(const Exchange& exchange, Ipv4Address address) const;
    [[nodiscard]] std::size_t kept_for_declared(const Exchange& exchange) const;
    [[nodiscard]] bool unavailable(const Exchange& exchange, Ipv4Address address) const;
    Decision acknowledge(const Exchange& exchange, Ipv4Address address);
    Decision reply(const Exchange& exchange, wire::MessageType type, std::string_view reason, Ipv4Address address, bool with_lease) const;
    Decision refuse(const Exchange& exchange, std::string_view reason) const;

    Setup setup_;
    LeaseTable leases_;
    LeaseTable::Unavailable in_use_ = [](Ipv4Address) { return false; };
};

}  // namespace diskless::dhcp
