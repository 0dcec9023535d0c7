// DhcpService: the public face. A thin loop around the pure responder: receive a burst, decide, make the leases durable, send.
// A lease is on disk before its ACK leaves; all leases of a burst share one commit, and bursts go on arriving meanwhile.
#pragma once

#include <memory>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/control.hpp"
#include "boot/event.hpp"
#include "boot/lease_store.hpp"
#include "boot/plan.hpp"
#include "common/asio.hpp"
#include "common/counters.hpp"
#include "common/lanes.hpp"
#include "config/config.hpp"
#include "services/dhcp/enroller.hpp"

namespace diskless::dhcp {

struct Deps {
    const Lanes& lanes;
    boot::CurrentCatalog& catalog;
    boot::AddressBook& addresses;
    boot::LeaseStore& leases;
    CounterRegistry& counters;
    boot::BootObserver& observer;
    Enroller& enroller;
    boot::BootServer server;
    std::string interface;  ///< empty: listen on the server's address only, and answer to where requests come from
    /// Whether an address is alive by other signs than its lease (an iSCSI session).
    std::function<bool(Ipv4Address)> in_use;
};

class DhcpService final : public boot::LeaseControl {
 public:
    /// `known`: the leases in the store.
    DhcpService(config::Dhcp dhcp, config::UnknownClients unknown, Deps deps, const std::vector<boot::Lease>& known);
    ~DhcpService() override;
    DhcpService(const DhcpService&) = delete;
    DhcpService& operator=(const DhcpService&) = delete;

    /// Opens the sockets. Throws std::exception with one clear line.
    void bind();
    /// The strand on which run() must be spawned.
    [[nodiscard]] asio::any_io_executor executor() const;
    /// Serves until it is cancelled, then waits for the leases under way.
    asio::awaitable<void> run();
    /// The port that is bound; for tests that let the kernel choose.
    [[nodiscard]] std::uint16_t port() const;

    [[nodiscard]] std::vector<boot::Lease> leases() override;
    boot::OrRefusal<boot::Lease> release(Ipv4Address address) override;

 private:
    class Worker;
    std::shared_ptr<Worker> worker_;
};

}  // namespace diskless::dhcp
