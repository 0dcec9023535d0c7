#include "common/runtime.hpp"

#include <algorithm>

namespace diskless {
namespace {

unsigned choose(unsigned threads) {
    if (threads != 0) return threads;
    return std::clamp(std::thread::hardware_concurrency(), 1u, Runtime::max_automatic_threads);
}

}  // namespace

// The concurrency hint 1 lets Asio skip its wake-ups between threads.
Runtime::Runtime(unsigned threads) : threads_{choose(threads)}, context_{static_cast<int>(threads_)}, work_{context_.get_executor()} {}

Runtime::~Runtime() { stop(); }

void Runtime::run() {
    std::vector<std::jthread> others;
    others.reserve(threads_ - 1);
    for (unsigned i = 1; i < threads_; ++i) others.emplace_back([this] { context_.run(); });
    context_.run();
}

void Runtime::stop() {
    work_.reset();
    context_.stop();
}

}  // namespace diskless
