// HttpService: boot files, scripts, health and metrics over HTTP/1.1 (RFC 9110, 9112). The API and the web page will be further routes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/chap_secrets.hpp"
#include "boot/event.hpp"
#include "boot/image.hpp"
#include "boot/plan.hpp"
#include "common/asio.hpp"
#include "common/counters.hpp"
#include "common/lanes.hpp"
#include "config/config.hpp"
#include "storage/boot_files.hpp"

namespace diskless::http {

/// What menus may order, and who carries it out.
struct MenuOrders {
    /// Whether a client's choice for one boot was used up by this call.
    std::function<asio::awaitable<bool>(std::string client, std::string choice)> take_next_boot;
    /// Makes a client of a machine; its name.
    std::function<asio::awaitable<boot::OrRefusal<std::string>>(MacAddress mac, std::string group)> enroll;
    std::vector<std::string> enroll_groups;
    std::string enroll_password;  ///< empty: nobody is asked
};

struct Deps {
    const Lanes& lanes;
    const storage::BootFiles& files;
    boot::CurrentCatalog& catalog;
    boot::AddressBook& addresses;
    boot::CurrentSecrets& secrets;
    CounterRegistry& counters;
    boot::BootObserver& observer;
    boot::BootServer server;
    bool serves_unknown = false;  ///< machines nobody declared get the menu's script
    /// Files made for the client at an address, as TFTP has them; nothing: there is none of that name. From any thread.
    std::function<std::optional<std::string>(std::string_view name, const IpAddress& client)> generated;
    MenuOrders orders;
    std::string version;
};

class HttpService {
 public:
    HttpService(const config::Http& config, const Deps& deps);
    ~HttpService();
    HttpService(const HttpService&) = delete;
    HttpService& operator=(const HttpService&) = delete;

    /// Throws std::runtime_error with one clear line.
    void bind(const IpAddress& address);
    /// The strand on which run() must be spawned.
    [[nodiscard]] asio::any_io_executor executor() const;
    /// Serves until it is cancelled, then ends the connections.
    asio::awaitable<void> run();
    [[nodiscard]] std::uint16_t port() const;
    [[nodiscard]] std::uint16_t tls_port() const;  ///< 0: there is none

 private:
    class Worker;
    std::unique_ptr<Worker> worker_;
};

}  // namespace diskless::http
