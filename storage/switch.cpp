#include "storage/switch.hpp"

#include <cerrno>
#include <thread>
#include <utility>

namespace diskless::storage {
namespace {

Started fail(IoRequest& request) noexcept {
    request.error = {EIO, boost::system::system_category()};
    return Started::completed;
}

}  // namespace

Started SwitchDevice::start(IoRequest& request) noexcept {
    while (true) {
        inside_.fetch_add(1);
        if (!closed_.load()) {
            const Started started = now_ ? now_->start(request) : fail(request);
            inside_.fetch_sub(1);
            return started;
        }
        inside_.fetch_sub(1);
        const std::lock_guard lock{mutex_};
        if (!closed_.load()) continue;
        waiting_.push_back(&request);
        return Started::pending;
    }
}

void SwitchDevice::replace(const std::function<std::shared_ptr<BlockDevice>(std::shared_ptr<BlockDevice>)>& change) {
    closed_ = true;
    while (inside_.load() != 0) std::this_thread::yield();
    try {
        reopen(change(std::move(now_)));
    } catch (...) {
        reopen(nullptr);
        throw;
    }
}

void SwitchDevice::reopen(std::shared_ptr<BlockDevice> with) {
    now_ = std::move(with);
    std::vector<IoRequest*> waited;
    {
        const std::lock_guard lock{mutex_};
        closed_ = false;
        waited = std::exchange(waiting_, {});
    }
    for (IoRequest* request : waited) {
        if (start(*request) == Started::completed) request->completed();
    }
}

}  // namespace diskless::storage
