// Listener: accepts connections on one socket, TCP or Unix, and serves each by the same routes.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>

#include "common/lanes.hpp"
#include "common/task_group.hpp"
#include "services/http/connection.hpp"

namespace diskless::http {

class Listener {
 public:
    using Endpoint = asio::generic::stream_protocol::endpoint;

    struct Limits {
        std::uint32_t max_connections = 0;
        ConnectionLimits connection;
    };
    /// `routes` and `tls` outlive it; nullptr: connections are not enciphered.
    Listener(const Lanes& lanes, const Routes& routes, Limits limits, CounterRegistry& counters, TlsContext* tls = nullptr);

    /// What went wrong, if anything.
    [[nodiscard]] error_code bind(const Endpoint& endpoint);
    /// Serves until it is cancelled, then ends the connections. On executor().
    asio::awaitable<void> run();

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return strand_; }
    [[nodiscard]] Endpoint local_endpoint() const { return acceptor_.local_endpoint(); }

 private:
    void serve(const asio::any_io_executor& lane, StreamSocket socket);

    const Lanes& lanes_;
    const Routes& routes_;
    Limits limits_;
    TlsContext* tls_;
    asio::any_io_executor strand_;
    asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor_;
    TaskGroup connections_;
    ConnectionCounters counters_;
    Counter& refused_;
};

}  // namespace diskless::http
