#include "common/task_group.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "common/runtime.hpp"
#include "common/timeout.hpp"

using namespace diskless;
using namespace std::chrono_literals;

namespace {

/// Runs `body` on a runtime of `threads` threads and returns when it has ended.
void run(unsigned threads, std::function<asio::awaitable<void>(Runtime&)> body) {
    Runtime runtime{threads};
    asio::co_spawn(asio::make_strand(runtime.executor()), body(runtime), [&](std::exception_ptr error) {
        runtime.stop();
        if (error) std::rethrow_exception(error);
    });
    runtime.run();
}

}  // namespace

TEST_CASE("children run, and join waits for all of them") {
    std::atomic<int> ran{0};
    run(2, [&](Runtime& runtime) -> asio::awaitable<void> {
        TaskGroup group{runtime.executor(), "test"};
        for (int i = 0; i < 100; ++i) {
            group.spawn(runtime.lanes().next(), [&]() -> asio::awaitable<void> {
                co_await asio::post(asio::use_awaitable);
                ++ran;
            });
        }
        co_await group.join();
        CHECK(group.size() == 0);
    });
    CHECK(ran == 100);
}

TEST_CASE("cancel reaches children that wait for ever, and nothing starts after it") {
    std::atomic<int> ended{0};
    run(2, [&](Runtime& runtime) -> asio::awaitable<void> {
        TaskGroup group{runtime.executor(), "test"};
        const auto wait_for_ever = [&]() -> asio::awaitable<void> {
            asio::steady_timer never{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
            const auto [ec] = co_await never.async_wait(nothrow_await);
            if (ec == asio::error::operation_aborted) ++ended;
        };
        for (int i = 0; i < 50; ++i) group.spawn(runtime.lanes().next(), wait_for_ever);
        group.cancel();
        co_await group.join();
        group.spawn(wait_for_ever);
        CHECK(group.size() == 0);
    });
    CHECK(ended == 50);
}

TEST_CASE("an exception ends its own child only") {
    std::atomic<int> ran{0};
    run(1, [&](Runtime& runtime) -> asio::awaitable<void> {
        TaskGroup group{runtime.executor(), "test"};
        group.spawn([]() -> asio::awaitable<void> {
            throw std::runtime_error{"expected by this test"};
            co_return;
        });
        group.spawn([&]() -> asio::awaitable<void> {
            ++ran;
            co_return;
        });
        co_await group.join();
    });
    CHECK(ran == 1);
}

TEST_CASE("with_timeout: the clock cancels what does not come, and lets through what does") {
    run(1, [](Runtime& runtime) -> asio::awaitable<void> {
        asio::ip::udp::socket socket{co_await asio::this_coro::executor, {asio::ip::address_v4::loopback(), 0}};
        std::array<char, 4> bytes{};
        const auto [late, none] = co_await with_timeout(socket.async_receive(asio::buffer(bytes), asio::deferred), 1ms);
        CHECK(late == asio::error::timed_out);
        CHECK(none == 0);
        socket.send_to(asio::buffer("abc", 3), socket.local_endpoint());
        const auto [ec, n] = co_await with_timeout(socket.async_receive(asio::buffer(bytes), asio::deferred), 1min);
        CHECK_FALSE(ec);
        CHECK(n == 3);
        (void)runtime;
    });
}
