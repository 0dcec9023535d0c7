#include "common/task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/system/system_error.hpp>
#include <exception>

#include "common/assert.hpp"
#include "common/log.hpp"

namespace diskless {

// The signal is touched only on the child's strand: Boost 1.81's slots are not safe across threads. The completion handler holds the
// Child, so a late emit finds it alive.
struct TaskGroup::Child {
    asio::any_io_executor strand;
    asio::cancellation_signal stop;
    std::function<asio::awaitable<void>()> body;  // the coroutine's captures live here, as long as the coroutine
};

TaskGroup::TaskGroup(asio::any_io_executor executor, std::string name) : executor_{std::move(executor)}, name_{std::move(name)} {}

TaskGroup::~TaskGroup() { DISKLESS_ASSERT(children_.empty()); }

void TaskGroup::spawn(std::function<asio::awaitable<void>()> body) { spawn(asio::make_strand(executor_), std::move(body)); }

void TaskGroup::spawn(asio::any_io_executor strand, std::function<asio::awaitable<void>()> body) {
    auto child = std::make_shared<Child>();
    child->strand = strand;
    child->body = std::move(body);
    std::list<std::shared_ptr<Child>>::iterator at;
    {
        const std::lock_guard lock{mutex_};
        if (cancelled_) return;
        at = children_.insert(children_.end(), child);
    }
    asio::post(strand, [this, child, at] {
        auto ended = [this, child, at](std::exception_ptr error) {
            try {
                if (error) std::rethrow_exception(error);
            } catch (const boost::system::system_error& e) {
                if (e.code() != asio::error::operation_aborted) log::error("task.failed", "group={} error=\"{}\"", name_, e.what());
            } catch (const std::exception& e) {
                log::error("task.failed", "group={} error=\"{}\"", name_, e.what());
            }
            child->body = nullptr;
            finished(at);
        };
        asio::co_spawn(child->strand, child->body, asio::bind_cancellation_slot(child->stop.slot(), std::move(ended)));
    });
}

void TaskGroup::finished(std::list<std::shared_ptr<Child>>::iterator child) noexcept {
    const std::lock_guard lock{mutex_};
    children_.erase(child);
    if (!children_.empty()) return;
    for (const auto& joiner : joiners_) asio::post(joiner->get_executor(), [joiner] { joiner->cancel(); });
    joiners_.clear();
}

void TaskGroup::cancel() {
    const std::lock_guard lock{mutex_};
    cancelled_ = true;
    for (const auto& child : children_) asio::post(child->strand, [child] { child->stop.emit(asio::cancellation_type::terminal); });
}

// On the caller's own executor: a nested co_spawn elsewhere would be cancelled across strands, which is a use-after-free in Boost 1.81.
asio::awaitable<void> TaskGroup::join() {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const auto joiner = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    {
        const std::lock_guard lock{mutex_};
        if (children_.empty()) co_return;
        joiners_.push_back(joiner);
    }
    while (size() != 0) co_await joiner->async_wait(nothrow_await);
}

std::size_t TaskGroup::size() const {
    const std::lock_guard lock{mutex_};
    return children_.size();
}

}  // namespace diskless
