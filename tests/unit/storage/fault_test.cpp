#include "storage/fault.hpp"

#include <doctest/doctest.h>

#include "common/runtime.hpp"
#include "storage/await.hpp"
#include "storage/memory.hpp"

using namespace diskless;
using namespace diskless::storage;

namespace {

std::shared_ptr<MemoryDevice> memory() { return std::make_shared<MemoryDevice>(Geometry{.size_bytes = 64 << 10}); }

void run(asio::awaitable<void> body) {
    Runtime runtime{1};
    asio::co_spawn(asio::make_strand(runtime.executor()), std::move(body), [&](std::exception_ptr error) {
        runtime.stop();
        if (error) std::rethrow_exception(error);
    });
    runtime.run();
}

}  // namespace

TEST_CASE("chosen requests fail, others do not") {
    run([]() -> asio::awaitable<void> {
        FaultDevice device{memory()};
        device.fail([](const IoRequest& r) { return r.kind == IoKind::write && r.offset_bytes >= 4096; }, ENOSPC);
        std::array<std::byte, 512> bytes{};
        CHECK_FALSE(co_await perform(device, IoKind::write, 0, bytes));
        CHECK((co_await perform(device, IoKind::write, 4096, bytes)).value() == ENOSPC);
        CHECK_FALSE(co_await perform(device, IoKind::read, 4096, bytes));
    }());
}

TEST_CASE("held requests complete when they are released, on the awaiting coroutine's executor") {
    run([]() -> asio::awaitable<void> {
        FaultDevice device{memory()};
        device.hold();
        const auto executor = co_await asio::this_coro::executor;
        asio::post(executor, [&] { CHECK(device.release() == 1); });
        std::array<std::byte, 512> bytes{};
        CHECK_FALSE(co_await perform(device, IoKind::read, 0, bytes));
        CHECK(device.held() == 0);
    }());
}

TEST_CASE("a crash undoes only what was not flushed") {
    run([]() -> asio::awaitable<void> {
        auto below = memory();
        CrashDevice device{below, 7};
        std::vector<std::byte> bytes(8192, std::byte{1});
        CHECK_FALSE(co_await perform(device, IoKind::write, 0, bytes));
        CHECK_FALSE(co_await perform(device, IoKind::flush, 0, {}));
        std::ranges::fill(bytes, std::byte{2});
        CHECK_FALSE(co_await perform(device, IoKind::write, 8192, bytes));
        device.crash();
        CHECK(std::ranges::all_of(below->contents().first(8192), [](std::byte b) { return b == std::byte{1}; }));
        const auto lost = std::ranges::count(below->contents().subspan(8192, 8192), std::byte{0});
        CHECK(lost % 512 == 0);
        CHECK(lost > 0);
        CHECK(lost < 8192);
    }());
}

TEST_CASE("a memory device lends its bytes") {
    auto device = memory();
    device->contents()[100] = std::byte{9};
    CHECK(device->borrow(100, 1)->bytes[0] == std::byte{9});
}
