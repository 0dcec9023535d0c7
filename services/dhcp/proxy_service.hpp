// ProxyService: the public face of [dhcp] mode = "proxy". A thin loop around the pure ProxyResponder, on two ports: 67 and 4011.
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

class ProxyService {
 public:
    struct Deps {
        const Lanes& lanes;
        boot::CurrentCatalog& catalog;
        boot::AddressBook& addresses;
        CounterRegistry& counters;
        boot::BootObserver& observer;
        Enroller& enroller;
        boot::BootServer server;
        std::string interface;  ///< empty: listen on the server's address only, and answer to where requests come from
    };

    ProxyService(const config::Dhcp& dhcp, config::UnknownClients unknown_clients, Deps deps);
    ~ProxyService();
    ProxyService(const ProxyService&) = delete;
    ProxyService& operator=(const ProxyService&) = delete;

    /// Opens the sockets. Throws std::exception with one clear line.
    void bind();
    /// The strand on which run() must be spawned.
    [[nodiscard]] asio::any_io_executor executor() const;
    /// Serves until it is cancelled.
    asio::awaitable<void> run();

 private:
    class Worker;
    std::unique_ptr<Worker> worker_;
};

}  // namespace diskless::dhcp
