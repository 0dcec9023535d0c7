// Runtime: the event loop: one lane a thread (common/lanes.hpp). Everyone else is handed an executor, or the lanes.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>

#include "common/lanes.hpp"

namespace diskless {

class Runtime {
 public:
    /// threads = 0: chosen by the program, one per CPU up to max_automatic_threads.
    explicit Runtime(unsigned threads);
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;
    ~Runtime();

    static constexpr unsigned max_automatic_threads = 8;

    [[nodiscard]] const Lanes& lanes() const noexcept { return lanes_; }
    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return lanes_.home(); }
    [[nodiscard]] unsigned threads() const noexcept { return static_cast<unsigned>(lanes_.size()); }

    /// Runs until stop(); the calling thread is one of the threads. An exception that escapes a handler is a bug and ends the process.
    void run();
    /// Makes run() return. From any thread.
    void stop();

 private:
    struct Lane {
        // Asio's hint for one thread: no lock is contended and no other thread is ever woken up. Others may still post.
        asio::io_context context{1};
        asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
    };
    [[nodiscard]] std::vector<asio::any_io_executor> executors();

    std::deque<Lane> threads_;
    Lanes lanes_;
};

}  // namespace diskless
