// Connection: one client's HTTP/1.1 connection, request after request, on its own strand. The only file of the service that reads and
// writes a socket.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>

#include "common/asio.hpp"
#include "common/counters.hpp"
#include "services/http/routes.hpp"

namespace diskless::http {

/// TCP or Unix.
using StreamSocket = asio::generic::stream_protocol::socket;

struct ConnectionLimits {
    std::chrono::milliseconds idle{30'000};   ///< between requests, and for the head of one to arrive
    std::chrono::milliseconds write{60'000};  ///< without the peer taking a byte
    std::uint64_t body_bytes = 0;             ///< of a request; more is refused
};

struct ConnectionCounters {
    Counter& requests;
    Counter& sent_bytes;
};

using TlsContext = asio::ssl::context;

/// Serves until the peer leaves, a limit is reached, or it is cancelled; with `tls` behind TLS. `routes` and `tls` outlive it.
asio::awaitable<void> serve_connection(StreamSocket socket, TlsContext* tls, const Routes& routes, ConnectionLimits limits,
                                       ConnectionCounters counters);

/// Answers 503 and closes: there are too many connections.
asio::awaitable<void> refuse_connection(StreamSocket socket);

}  // namespace diskless::http
