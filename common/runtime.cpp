#include "common/runtime.hpp"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace diskless {
namespace {

/// The CPUs this process may use, which may be fewer than there are.
unsigned usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return std::thread::hardware_concurrency();
    return static_cast<unsigned>(CPU_COUNT(&set));
}

unsigned choose(unsigned threads) {
    if (threads != 0) return threads;
    return std::clamp(usable_cpus(), 1u, Runtime::max_automatic_threads);
}

}  // namespace

Runtime::Runtime(unsigned threads) : threads_(choose(threads)), lanes_{executors()} {}

Runtime::~Runtime() { stop(); }

std::vector<asio::any_io_executor> Runtime::executors() {
    std::vector<asio::any_io_executor> all;
    all.reserve(threads_.size());
    for (Lane& lane : threads_) all.emplace_back(lane.context.get_executor());
    return all;
}

void Runtime::run() {
    std::vector<std::jthread> others;
    others.reserve(threads_.size() - 1);
    for (std::size_t i = 1; i < threads_.size(); ++i) others.emplace_back([this, i] { threads_[i].context.run(); });
    threads_.front().context.run();
}

void Runtime::stop() {
    for (Lane& lane : threads_) {
        lane.work.reset();
        lane.context.stop();
    }
}

}  // namespace diskless
