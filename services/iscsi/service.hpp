// IscsiService: the iSCSI target's public face (RFC 7143). Bind, run, stop; everything between is connections of their own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/chap_secrets.hpp"
#include "boot/event.hpp"
#include "boot/reservation_store.hpp"
#include "boot/session.hpp"
#include "common/asio.hpp"
#include "common/counters.hpp"
#include "common/lanes.hpp"
#include "common/network.hpp"
#include "config/config.hpp"
#include "services/iscsi/lun_provider.hpp"

namespace diskless::iscsi {

class IscsiService final : public boot::SessionList {
 public:
    /// All of it outlives the service.
    struct Deps {
        const Lanes& lanes;
        boot::CurrentCatalog& catalog;
        boot::AddressBook& addresses;
        boot::CurrentSecrets& secrets;
        CounterRegistry& counters;
        boot::BootObserver& observer;
        LunProvider& luns;
        boot::ReservationStore& reservations;
    };

    IscsiService(const config::Iscsi& config, Deps deps);
    IscsiService(const IscsiService&) = delete;
    IscsiService& operator=(const IscsiService&) = delete;
    /// After run() has returned, or without it.
    ~IscsiService() override;

    /// Listens on `address` and the configured ports, besides those of before. Throws std::runtime_error with one clear line.
    void bind(const IpAddress& address);
    /// The port in use; of interest when the configured one is 0 (any free one).
    [[nodiscard]] std::uint16_t port() const;

    /// Serves until stop(); returns when the last session has ended.
    [[nodiscard]] asio::awaitable<void> run();
    /// No new connections; commands in flight end (at most [iscsi] stop_timeout), then the sessions. Any thread.
    void stop();

    /// After CurrentCatalog::replace(): sessions that are no longer admitted end, changed LUN lists are opened and announced. Any thread.
    void catalog_changed();
    /// Space runs short: every initiator is told with its next command (thin provisioning soft threshold reached). Any thread.
    void space_is_low();
    /// Sessions of the target called `name` end where the machine has gone without a word. Any thread.
    void probe(std::string_view name, std::chrono::milliseconds patience);
    [[nodiscard]] std::vector<boot::SessionInfo> sessions() const override;
    bool drop_session(std::uint16_t tsih) override;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace diskless::iscsi
