// The io_uring backend: one ring, one thread that reaps completions. Odd cases (short transfers, more pieces than fit, unsupported
// operations) are finished by the thread pool, so every answer is the same as there.
#pragma once

#include <liburing.h>

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
    std::thread reaper_;
};

}  // namespace diskless::storage
