#include "storage/io/thread_pool.hpp"

#include <algorithm>

namespace diskless::storage {

ThreadPool::ThreadPool(unsigned threads) {
    for (unsigned i = 0; i < std::max(threads, 1u); ++i) threads_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    more_.notify_all();
}

void ThreadPool::submit(RawFile& file, IoRequest& request) noexcept {
    request.device = &file;
    request.next = nullptr;
    {
        const std::lock_guard lock{mutex_};
        (last_ == nullptr ? first_ : last_->next) = &request;
        last_ = &request;
    }
    more_.notify_one();
}

void ThreadPool::work() noexcept {
    std::unique_lock lock{mutex_};
    while (true) {
        more_.wait(lock, [this] { return first_ != nullptr || stopping_; });
        if (first_ == nullptr) return;
        IoRequest& request = *first_;
        first_ = request.next;
        if (first_ == nullptr) last_ = nullptr;
        lock.unlock();
        static_cast<RawFile*>(request.device)->perform(request);
        request.completed();
        lock.lock();
    }
}

}  // namespace diskless::storage
