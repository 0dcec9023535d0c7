#include "services/http/service.hpp"

#include <fmt/format.h>

#include "boot/script.hpp"
#include "services/http/handlers/handlers.hpp"
#include "services/http/listener.hpp"

namespace diskless::http {

using asio::ip::tcp;

class HttpService::Worker {
 public:
    Worker(const config::Http& config, const Deps& deps)
        : port_{config.port},
          listener_{deps.lanes,
                    routes_,
                    {.max_connections = config.max_connections, .connection = {.idle = config.idle_timeout, .write = config.write_timeout}},
                    deps.counters} {
        routes_.set_hint("boot files are under /boot/, scripts at /boot.ipxe");
        routes_.add("/boot/", boot_files_handler(deps));
        routes_.add(std::string{boot::script_path}, boot_script_handler(deps));
        routes_.add("/healthz", health_handler(deps.version));
        routes_.add("/metrics", metrics_handler(deps.counters));
    }

    void bind(Ipv4Address address) {
        const error_code ec = listener_.bind(tcp::endpoint{asio::ip::address_v4{address.value}, port_});
        if (!ec) return;
        throw std::runtime_error{fmt::format(
            "HTTP: cannot bind {}:{}: {}; {}", address, port_, ec == asio::error::address_in_use ? "the port is in use" : ec.message(),
            ec == asio::error::access_denied ? "start as root or with CAP_NET_BIND_SERVICE, or use a port above 1023"
                                             : "stop the other server, or set [http] port")};
    }

    [[nodiscard]] Listener& listener() noexcept { return listener_; }

 private:
    std::uint16_t port_;
    Routes routes_;
    Listener listener_;
};

HttpService::HttpService(const config::Http& config, const Deps& deps) : worker_{std::make_unique<Worker>(config, deps)} {}
HttpService::~HttpService() = default;
void HttpService::bind(Ipv4Address address) { worker_->bind(address); }
asio::any_io_executor HttpService::executor() const { return worker_->listener().executor(); }
asio::awaitable<void> HttpService::run() { return worker_->listener().run(); }

std::uint16_t HttpService::port() const {
    const Listener::Endpoint endpoint = worker_->listener().local_endpoint();
    sockaddr_in address{};
    std::memcpy(&address, endpoint.data(), sizeof address);
    return ntohs(address.sin_port);
}

}  // namespace diskless::http
