// The io_uring backend: one ring, one thread that reaps completions. What a ring does no better than a thread goes to the pool: durable
// writes (measured on ext4: 27 µs of CPU there, 57 here), flushes, zeroing; and odd ends such as short transfers, so every answer is the
// same as there.
#pragma once

#include <liburing.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/io/thread_pool.hpp"

namespace diskless::storage {

class Uring final : public Backend {
 public:
    static constexpr unsigned queue_entries = 1024;

    /// Throws std::runtime_error when the kernel has no usable io_uring for us.
    explicit Uring(std::shared_ptr<ThreadPool> fallback);
    ~Uring() override;

    void submit(RawFile& file, IoRequest& request) noexcept override;
    [[nodiscard]] std::string_view name() const noexcept override { return "uring"; }

 private:
    [[nodiscard]] bool queue(IoRequest& request) noexcept;
    [[nodiscard]] io_uring_sqe* enqueue(IoRequest& request) noexcept;
    void reap() noexcept;
    [[nodiscard]] bool reap_some() noexcept;
    void submit_deferred() noexcept;
    void finish(IoRequest& request, int result) noexcept;

    std::shared_ptr<ThreadPool> fallback_;
    io_uring ring_{};
    std::mutex submission_;
    // The kernel carries a request from submit() to the reaper, which no memory model sees: this counter is the order between the two.
    std::atomic<std::uint64_t> submissions_{0};
    /// What is started while completions are told, by those who are told: goes to the kernel in one call. Only the reaper's.
    std::vector<IoRequest*> deferred_;
    std::thread reaper_;
};

}  // namespace diskless::storage
