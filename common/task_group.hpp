// TaskGroup: owns coroutines. Everything that runs on its own is spawned here, so that no error is lost and shutdown can wait for all of
// it. Safe from any thread. Must outlive join().
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/asio.hpp"

namespace diskless {

class TaskGroup {
 public:
    /// `name` appears in the log line of an exception that escaped a child.
    TaskGroup(asio::any_io_executor executor, std::string name);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup();

    /// Runs `body` on `strand` (the child's own strand for its whole life). After cancel() nothing more is started.
    void spawn(asio::any_io_executor strand, std::function<asio::awaitable<void>()> body);
    /// The same on a new strand of the group's executor.
    void spawn(std::function<asio::awaitable<void>()> body);

    /// Asks every child to stop (terminal cancellation, delivered on the child's own strand). Returns at once.
    void cancel();
    /// Waits until no child is left, whatever is cancelled meanwhile.
    asio::awaitable<void> join();
    [[nodiscard]] std::size_t size() const;

 private:
    struct Child;
    void finished(std::list<std::shared_ptr<Child>>::iterator child) noexcept;

    asio::any_io_executor executor_;
    std::string name_;
    mutable std::mutex mutex_;
    std::list<std::shared_ptr<Child>> children_;
    bool cancelled_ = false;
    std::vector<std::shared_ptr<asio::steady_timer>>
        joiners_;  // each on its coroutine's executor; never expire, cancelled when no child is left
};

}  // namespace diskless
