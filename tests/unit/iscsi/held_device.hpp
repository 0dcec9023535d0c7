// A memory disk that keeps requests until it is told to go on: what an abort meets in real life. For tests only.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "storage/memory.hpp"

namespace diskless::test {

class HeldDevice final : public storage::BlockDevice {
 public:
    explicit HeldDevice(std::uint64_t size_bytes = 16u << 20) : memory_{storage::Geometry{.size_bytes = size_bytes, .can_discard = true}} {}

    [[nodiscard]] const storage::Geometry& geometry() const noexcept override { return memory_.geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return "held"; }
    [[nodiscard]] storage::Started start(storage::IoRequest& request) noexcept override {
        const std::lock_guard lock{mutex_};
        if (!holding_) return memory_.start(request);
        held_.push_back(&request);
        changed_.notify_all();
        return storage::Started::pending;
    }

    /// From now on requests wait.
    void hold() {
        const std::lock_guard lock{mutex_};
        holding_ = true;
    }
    /// Everything that waits is done, and nothing waits any more.
    void release() {
        std::vector<storage::IoRequest*> ready;
        {
            const std::lock_guard lock{mutex_};
            holding_ = false;
            ready.swap(held_);
        }
        for (storage::IoRequest* request : ready) {
            (void)memory_.start(*request);
            request->completed();
        }
    }
    /// Blocks until so many requests wait.
    void await_held(std::size_t count) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return held_.size() >= count; });
    }
    [[nodiscard]] std::size_t held() {
        const std::lock_guard lock{mutex_};
        return held_.size();
    }

 private:
    storage::MemoryDevice memory_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool holding_ = false;
    std::vector<storage::IoRequest*> held_;
};

}  // namespace diskless::test
