// DhcpV6Service: a thin loop around the pure v6::Responder, and the router advertisements that send machines to it. Small: nothing has to
// be on disk before a reply leaves.
#pragma once

#include <memory>
#include <string>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/event.hpp"
#include "boot/plan.hpp"
#include "common/asio.hpp"
#include "common/counters.hpp"
#include "common/lanes.hpp"
#include "config/config.hpp"
#include "services/dhcp/enroller.hpp"

namespace diskless::dhcp {

class DhcpV6Service {
 public:
    struct Deps {
        const Lanes& lanes;
        boot::CurrentCatalog& catalog;
        boot::AddressBook& addresses;
        CounterRegistry& counters;
        boot::BootObserver& observer;
        Enroller& enroller;
        boot::BootServer server;  ///< with its address6
        std::string interface;    ///< empty: only whoever asks the server's address is answered
    };
    static constexpr std::uint16_t server_port = 547;  ///< RFC 8415 7.2

    DhcpV6Service(const config::Dhcp& dhcp, const config::UnknownClients& unknown, Deps deps, std::uint16_t port = server_port);
    ~DhcpV6Service();
    DhcpV6Service(const DhcpV6Service&) = delete;
    DhcpV6Service& operator=(const DhcpV6Service&) = delete;

    /// Throws std::runtime_error with one clear line.
    void bind();
    /// The strand on which run() must be spawned.
    [[nodiscard]] asio::any_io_executor executor() const;
    /// Serves until it is cancelled.
    asio::awaitable<void> run();
    [[nodiscard]] std::uint16_t port() const;

 private:
    class Worker;
    std::shared_ptr<Worker> worker_;
};

}  // namespace diskless::dhcp
