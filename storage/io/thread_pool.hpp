// The backend that works everywhere: some threads and a queue of requests, linked through the requests themselves (no allocation).
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/io/backend.hpp"

namespace diskless::storage {

class ThreadPool final : public Backend {
 public:
    explicit ThreadPool(unsigned threads);
    /// Performs what is queued, then ends.
    ~ThreadPool() override;

    void submit(RawFile& file, IoRequest& request) noexcept override;
    [[nodiscard]] std::string_view name() const noexcept override { return "threads"; }

 private:
    void work() noexcept;

    std::mutex mutex_;
    std::condition_variable more_;
    IoRequest* first_ = nullptr;
    IoRequest* last_ = nullptr;
    bool stopping_ = false;
    std::vector<std::jthread> threads_;
};

}  // namespace diskless::storage
