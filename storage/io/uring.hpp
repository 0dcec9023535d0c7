// The io_uring backend: one ring, one thread that reaps completions. Odd cases (short transfers, more pieces than fit, unsupported
// operations) are finished by the thread pool, so every answer is the same as there.
#pragma once

#include <liburing.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

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
    void reap() noexcept;
    void finish(IoRequest& request, int result) noexcept;

    std::shared_ptr<ThreadPool> fallback_;
    io_uring ring_{};
    std::mutex submission_;
    // The kernel carries a request from submit() to the reaper, which no memory model sees: this counter is the order between the two.
    std::atomic<std::uint64_t> submissions_{0};
    std::atomic<bool> left_over_{false};  // an entry the kernel did not take yet
    std::thread reaper_;
};

}  // namespace diskless::storage
