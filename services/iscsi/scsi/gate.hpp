// Gate: lets commands that read, compare and write (COMPARE AND WRITE, ORWRITE, EXTENDED COPY) have the medium to themselves, and everybody
// else pass at the cost of one atomic step. First come, first served. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace diskless::scsi {

class Command;

class Gate {
 public:
    enum class Pass : std::uint8_t { shared, exclusive };

    /// False: `command` waits, and will be among those that some leave() returns.
    [[nodiscard]] bool enter(Command& command, Pass pass) {
        return pass == Pass::shared ? enter_shared(command) : enter_exclusive(command);
    }
    /// The commands that are in now: whoever leaves starts them.
    [[nodiscard]] std::vector<Command*> leave(Pass pass) { return pass == Pass::shared ? leave_shared() : leave_exclusive(); }

 private:
    static constexpr std::uint32_t closed = std::uint32_t{1} << 31;  // somebody has it alone, or waits for the last of the others

    bool enter_shared(Command& command) {
        for (std::uint32_t seen = state_.load(std::memory_order_relaxed); (seen & closed) == 0;) {
            if (state_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
        }
        const std::lock_guard lock{mutex_};
        if ((state_.load() & closed) == 0) {  // it is only closed under the lock
            state_.fetch_add(1);
            return true;
        }
        waiting_.emplace_back(&command, Pass::shared);
        return false;
    }

    bool enter_exclusive(Command& command) {
        const std::lock_guard lock{mutex_};
        if ((state_.load() & closed) != 0) {
            waiting_.emplace_back(&command, Pass::exclusive);
            return false;
        }
        if (state_.fetch_or(closed) == 0) return true;
        next_ = &command;
        return false;
    }

    std::vector<Command*> leave_shared() {
        if (state_.fetch_sub(1) != (closed | 1)) return {};
        const std::lock_guard lock{mutex_};
        return next_ == nullptr ? std::vector<Command*>{} : std::vector{std::exchange(next_, nullptr)};
    }

    std::vector<Command*> leave_exclusive() {
        const std::lock_guard lock{mutex_};
        std::vector<Command*> in;
        while (!waiting_.empty() && waiting_.front().second == Pass::shared) {
            in.push_back(waiting_.front().first);
            waiting_.pop_front();
        }
        const bool another = !waiting_.empty();
        Command* alone = nullptr;
        if (another) {
            alone = waiting_.front().first;
            waiting_.pop_front();
        }
        state_.store(static_cast<std::uint32_t>(in.size()) | (another ? closed : 0));
        if (another && in.empty()) return {alone};
        next_ = alone;
        return in;
    }

    std::atomic<std::uint32_t> state_{0};  // how many share it, and `closed`
    std::mutex mutex_;
    Command* next_ = nullptr;  // has closed the gate, and waits for it to become empty
    std::deque<std::pair<Command*, Pass>> waiting_;
};

}  // namespace diskless::scsi
