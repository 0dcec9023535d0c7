// ApiService: what administrators ask and order, as JSON over HTTP on a Unix socket that only root may use. The command line `diskless`
// is its client.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "boot/catalog.hpp"
#include "boot/control.hpp"
#include "boot/disk.hpp"
#include "boot/session.hpp"
#include "common/counters.hpp"
#include "common/lanes.hpp"

namespace diskless::http {

class ApiService {
 public:
    struct Deps {
        const Lanes& lanes;
        CounterRegistry& counters;
        boot::SessionList* sessions = nullptr;  ///< nullptr: iSCSI is off
        boot::ImageControl* images = nullptr;   ///< nullptr: there are none
        boot::DiskControl* disks = nullptr;     ///< nullptr: there are none
        boot::BootControl* boots = nullptr;     ///< nullptr: there are none
        boot::LeaseControl* leases = nullptr;   ///< nullptr: no addresses are given here
        boot::CurrentCatalog* catalog = nullptr;
        std::string version;
    };

    explicit ApiService(const Deps& deps);
    ~ApiService();
    ApiService(const ApiService&) = delete;
    ApiService& operator=(const ApiService&) = delete;

    /// Takes the place of a socket that a killed server left there. Throws std::runtime_error with one clear line.
    void bind(const std::filesystem::path& socket);
    /// The strand on which run() must be spawned.
    [[nodiscard]] asio::any_io_executor executor() const;
    /// Serves until it is cancelled, then ends the connections.
    asio::awaitable<void> run();

 private:
    class Worker;
    std::unique_ptr<Worker> worker_;
};

}  // namespace diskless::http
