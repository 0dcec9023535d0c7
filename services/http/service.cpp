#include "services/http/service.hpp"

#include <fmt/format.h>

#include <boost/asio/cancellation_state.hpp>

#include "boot/script.hpp"
#include "common/log.hpp"
#include "common/task_group.hpp"
#include "services/http/connection.hpp"
#include "services/http/handlers/handlers.hpp"

namespace diskless::http {
namespace {

using asio::ip::tcp;

/// After a failed accept (no descriptors left, most likely) it pays to wait a moment.
constexpr std::chrono::milliseconds accept_again{100};

}  // namespace

class HttpService::Worker {
 public:
    Worker(config::Http config, Deps deps)
        : config_{std::move(config)},
          deps_{std::move(deps)},
          strand_{deps_.lanes.next()},
          acceptor_{strand_},
          connections_{strand_, "http"},
          counters_{.requests = deps_.counters.counter("diskless_http_requests_total"),
                    .sent_bytes = deps_.counters.counter("diskless_http_sent_bytes_total")},
          refused_{deps_.counters.counter("diskless_http_refused_total")} {
        routes_.add("/boot/", boot_files_handler(deps_));
        routes_.add(std::string{boot::script_path}, boot_script_handler(deps_));
        routes_.add("/healthz", health_handler(deps_));
        routes_.add("/metrics", metrics_handler(deps_));
    }

    void bind(Ipv4Address address) {
        const tcp::endpoint endpoint{asio::ip::address_v4{address.value}, config_.port};
        error_code ec;
        acceptor_.open(tcp::v4(), ec);
        if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address{true}, ec);
        if (!ec) acceptor_.bind(endpoint, ec);
        if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
        if (!ec) return;
        throw std::runtime_error{fmt::format("HTTP: cannot bind {}:{}: {}; {}", address, config_.port,
                                             ec == asio::error::address_in_use ? "the port is in use" : ec.message(),
                                             ec == asio::error::access_denied
                                                 ? "start as root or with CAP_NET_BIND_SERVICE, or use a port above 1023"
                                                 : "stop the other server, or set [http] port")};
    }

    [[nodiscard]] asio::any_io_executor executor() const { return strand_; }
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

    asio::awaitable<void> run() {
        while (true) {
            const asio::any_io_executor strand = deps_.lanes.next();
            tcp::socket socket{strand};
            const auto [ec] = co_await acceptor_.async_accept(socket, nothrow_await);
            if (ec == asio::error::operation_aborted) break;
            if (ec) {
                log::warn("http.accept_failed", "error=\"{}\"", ec.message());
                asio::steady_timer pause{strand_, accept_again};
                const auto [cancelled] = co_await pause.async_wait(nothrow_await);
                if (cancelled) break;
                continue;
            }
            serve(strand, std::move(socket));
        }
        acceptor_.close();
        connections_.cancel();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await connections_.join();
    }

 private:
    void serve(const asio::any_io_executor& strand, tcp::socket socket) {
        const auto shared = std::make_shared<tcp::socket>(std::move(socket));
        if (connections_.size() >= config_.max_connections) {
            refused_.add();
            return connections_.spawn(strand, [shared] { return refuse_connection(std::move(*shared)); });
        }
        const ConnectionLimits limits{.idle = config_.idle_timeout, .write = config_.write_timeout};
        connections_.spawn(strand, [this, shared, limits] { return serve_connection(std::move(*shared), routes_, limits, counters_); });
    }

    config::Http config_;
    Deps deps_;
    asio::any_io_executor strand_;
    tcp::acceptor acceptor_;
    Routes routes_;
    TaskGroup connections_;
    ConnectionCounters counters_;
    Counter& refused_;
};

HttpService::HttpService(config::Http config, Deps deps) : worker_{std::make_shared<Worker>(std::move(config), std::move(deps))} {}
HttpService::~HttpService() = default;
void HttpService::bind(Ipv4Address address) { worker_->bind(address); }
asio::any_io_executor HttpService::executor() const { return worker_->executor(); }
asio::awaitable<void> HttpService::run() { return worker_->run(); }
std::uint16_t HttpService::port() const { return worker_->port(); }

}  // namespace diskless::http
