// with_timeout: one operation against a clock. Boost 1.81's `op || timer` waits for one *success*, so it is not used (STYLE: asynchronous
// code).
#pragma once

#include <boost/asio/experimental/parallel_group.hpp>
#include <chrono>
#include <tuple>

#include "common/asio.hpp"

namespace diskless {

/// Runs `op` (a deferred operation completing with error_code and perhaps a value) and cancels it after `limit`.
/// The result is op's own tuple; when the clock won, its error_code is timed_out. Bytes that arrived win over the clock.
/// Must be awaited on a strand: both children of the group complete there.
///
///     auto [ec, n] = co_await with_timeout(socket.async_read_some(buffer, asio::deferred), 5s);
template<class Op>
auto with_timeout(Op op, std::chrono::steady_clock::duration limit) -> asio::awaitable<std::tuple<error_code, std::size_t>> {
    asio::steady_timer clock{co_await asio::this_coro::executor, limit};
    auto [order, op_error, n, clock_error] =
        co_await asio::experimental::make_parallel_group(std::move(op), clock.async_wait(asio::deferred))
            .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    const bool clock_won = order[0] == 1;
    if (clock_won && n == 0 && op_error) op_error = asio::error::timed_out;
    co_return std::tuple{op_error, n};
}

/// The same for operations that complete with an error_code alone: waits for a socket, a timer, a connection.
template<class Op>
auto wait_with_timeout(Op op, std::chrono::steady_clock::duration limit) -> asio::awaitable<error_code> {
    asio::steady_timer clock{co_await asio::this_coro::executor, limit};
    auto [order, op_error, clock_error] = co_await asio::experimental::make_parallel_group(std::move(op), clock.async_wait(asio::deferred))
                                              .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    if (order[0] == 1 && op_error) op_error = asio::error::timed_out;
    co_return op_error;
}

}  // namespace diskless
