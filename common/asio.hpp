// What our coroutines need of Asio, under one short name. Never included by a codec or a pure machine.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

namespace diskless {

namespace asio = boost::asio;
using boost::system::error_code;

/// `auto [ec, n] = co_await socket.async_read_some(buffer, nothrow_await);`
inline constexpr auto nothrow_await = asio::as_tuple(asio::use_awaitable);

}  // namespace diskless
