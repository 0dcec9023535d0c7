#include "services/http/listener.hpp"

#include <boost/asio/cancellation_state.hpp>

#include "common/ip_endpoint.hpp"
#include "common/log.hpp"

namespace diskless::http {
namespace {

/// After a failed accept (no descriptors left, most likely) it pays to wait a moment.
constexpr std::chrono::milliseconds accept_again{100};

}  // namespace

Listener::Listener(const Lanes& lanes, const Routes& routes, Limits limits, CounterRegistry& counters, TlsContext* tls)
    : lanes_{lanes},
      routes_{routes},
      limits_{limits},
      tls_{tls},
      strand_{lanes.next()},
      acceptor_{strand_},
      connections_{strand_, "http"},
      counters_{.requests = counters.counter("diskless_http_requests_total"),
                .sent_bytes = counters.counter("diskless_http_sent_bytes_total")},
      refused_{counters.counter("diskless_http_refused_total")} {}

error_code Listener::bind(const Endpoint& endpoint) {
    error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(asio::socket_base::reuse_address{true}, ec);
    if (!ec && endpoint.protocol().family() == AF_INET6) bind_early(acceptor_);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    return ec;
}

asio::awaitable<void> Listener::run() {
    while (true) {
        const asio::any_io_executor lane = lanes_.next();
        StreamSocket socket{lane};
        const auto [ec] = co_await acceptor_.async_accept(socket, nothrow_await);
        if (ec == asio::error::operation_aborted) break;
        if (ec) {
            log::warn("http.accept_failed", "error=\"{}\"", ec.message());
            asio::steady_timer pause{strand_, accept_again};
            const auto [cancelled] = co_await pause.async_wait(nothrow_await);
            if (cancelled) break;
            continue;
        }
        serve(lane, std::move(socket));
    }
    acceptor_.close();
    connections_.cancel();
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await connections_.join();
}

void Listener::serve(const asio::any_io_executor& lane, StreamSocket socket) {
    const auto shared = std::make_shared<StreamSocket>(std::move(socket));
    if (connections_.size() >= limits_.max_connections) {
        refused_.add();
        if (tls_ != nullptr) return;  // a word in the clear is nothing to it
        return connections_.spawn(lane, [shared] { return refuse_connection(std::move(*shared)); });
    }
    connections_.spawn(lane, [this, shared] { return serve_connection(std::move(*shared), tls_, routes_, limits_.connection, counters_); });
}

}  // namespace diskless::http
