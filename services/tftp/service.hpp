// TftpService: hears requests on the well-known port, gives each its own Session. Read-only (RFC 1350; options RFC 2347-2349, 7440).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/event.hpp"
#include "common/asio.hpp"
#include "common/counters.hpp"
#include "common/lanes.hpp"
#include "config/config.hpp"
#include "storage/boot_files.hpp"

namespace diskless::tftp {

struct Deps {
    const Lanes& lanes;
    const storage::BootFiles& files;
    boot::CurrentCatalog& catalog;
    boot::AddressBook& addresses;
    CounterRegistry& counters;
    boot::BootObserver& observer;
    /// Files made for the client at an address (its iPXE script); nothing: there is none of that name. From any thread.
    std::function<std::optional<std::string>(std::string_view name, const IpAddress& client)> generated;
};

class TftpService {
 public:
    TftpService(config::Tftp config, Deps deps);
    ~TftpService();
    TftpService(const TftpService&) = delete;
    TftpService& operator=(const TftpService&) = delete;

    /// Throws std::runtime_error with one clear line.
    void bind(const IpAddress& address);
    /// The strand on which run() must be spawned.
    [[nodiscard]] asio::any_io_executor executor() const;
    /// Serves until it is cancelled, then ends the transfers under way.
    asio::awaitable<void> run();
    [[nodiscard]] std::uint16_t port() const;

 private:
    class Worker;
    std::shared_ptr<Worker> worker_;
};

}  // namespace diskless::tftp
