// Lanes: serial executors, one a thread, for sessions to live on. What runs on one lane never runs at once, as on a strand, and never
// leaves its thread: a packet that arrives costs no hop and no wake-up of another thread.
#pragma once

#include <atomic>
#include <vector>

#include "common/asio.hpp"

namespace diskless {

class Lanes {
 public:
    /// At least one; each runs its handlers one at a time.
    explicit Lanes(std::vector<asio::any_io_executor> executors) : executors_{std::move(executors)} {}

    /// The lane for a new session, in turn. Any thread.
    [[nodiscard]] asio::any_io_executor next() const noexcept {
        return executors_[turn_.fetch_add(1, std::memory_order_relaxed) % executors_.size()];
    }
    /// The lane of whatever is there only once.
    [[nodiscard]] const asio::any_io_executor& home() const noexcept { return executors_.front(); }
    [[nodiscard]] std::size_t size() const noexcept { return executors_.size(); }

 private:
    std::vector<asio::any_io_executor> executors_;
    mutable std::atomic<std::size_t> turn_{0};
};

}  // namespace diskless
