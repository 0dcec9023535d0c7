// Runtime: owns the one io_context and its threads. Everyone else is handed an executor.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

#include "common/asio.hpp"

namespace diskless {

class Runtime {
 public:
    /// threads = 0: chosen by the program, one per CPU up to max_automatic_threads (hops between threads cost more than they bring beyond
    /// that).
    explicit Runtime(unsigned threads);
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;
    ~Runtime();

    static constexpr unsigned max_automatic_threads = 8;

    [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }
    [[nodiscard]] unsigned threads() const noexcept { return threads_; }

    /// Runs until stop(); the calling thread is one of the threads. An exception that escapes a handler is a bug and ends the process.
    void run();
    /// Makes run() return. From any thread.
    void stop();

 private:
    unsigned threads_;
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
};

}  // namespace diskless
