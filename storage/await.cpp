#include "storage/await.hpp"

#include <boost/asio/cancellation_state.hpp>

namespace diskless::storage {
namespace {

/// Lives in the awaiting coroutine's frame, which therefore waits for it whatever happens.
struct AwaitedRequest final : IoRequest {
    explicit AwaitedRequest(const asio::any_io_executor& executor) : wake{executor, asio::steady_timer::time_point::max()} {}

    void completed() noexcept override {
        asio::post(wake.get_executor(), [this] {
            finished = true;
            wake.cancel();
        });
    }

    asio::steady_timer wake;
    bool finished = false;
};

}  // namespace

asio::awaitable<error_code> perform(BlockDevice& device, IoKind kind, std::uint64_t offset_bytes, MutableByteSpan buffer,
                                    std::uint64_t length_bytes) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const iovec piece{buffer.data(), buffer.size()};
    AwaitedRequest request{co_await asio::this_coro::executor};
    request.kind = kind;
    request.offset_bytes = offset_bytes;
    request.length_bytes = buffer.empty() ? length_bytes : buffer.size();
    if (!buffer.empty()) request.buffers = {&piece, 1};
    if (device.start(request) == Started::pending) {
        while (!request.finished) co_await request.wake.async_wait(nothrow_await);
    }
    co_return request.error;
}

}  // namespace diskless::storage
