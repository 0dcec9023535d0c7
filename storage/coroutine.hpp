// Coroutines over requests, without an executor: a coroutine goes on wherever its request has completed. For devices that need several
// steps for one request (qcow2). Task: somebody awaits it. Job: nobody does, it ends by itself. Io: one request to a device. Hold and
// Waiters: a mutex that is given up while a coroutine waits, and whoever waits for something to change under it.
#pragma once

#include <coroutine>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "storage/block_device.hpp"

namespace diskless::storage {

template<class T>
class Task;

namespace detail {

struct TaskPromiseBase {
    std::coroutine_handle<> continuation;
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
        static bool await_ready() noexcept { return false; }
        template<class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) noexcept {
            return ended.promise().continuation;
        }
        static void await_resume() noexcept {}
    };
    static Final final_suspend() noexcept { return {}; }
    static void unhandled_exception() noexcept { std::terminate(); }  // devices report errors, they do not throw
};

template<class T>
struct TaskPromise : TaskPromiseBase {
    std::optional<T> value;
    Task<T> get_return_object() noexcept;
    void return_value(T result) { value.emplace(std::move(result)); }
};

template<>
struct TaskPromise<void> : TaskPromiseBase {
    Task<void> get_return_object() noexcept;
    static void return_void() noexcept {}
};

}  // namespace detail

/// Starts when it is awaited, once.
template<class T = void>
class [[nodiscard]] Task {
 public:
    using promise_type = detail::TaskPromise<T>;
    explicit Task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
    Task(Task&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (coroutine_) coroutine_.destroy();
    }
    static bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        coroutine_.promise().continuation = awaiting;
        return coroutine_;
    }
    T await_resume() {
        if constexpr (!std::is_void_v<T>) return std::move(*coroutine_.promise().value);
    }

 private:
    std::coroutine_handle<promise_type> coroutine_;
};

template<class T>
Task<T> detail::TaskPromise<T>::get_return_object() noexcept {
    return Task<T>{std::coroutine_handle<TaskPromise>::from_promise(*this)};
}
inline Task<void> detail::TaskPromise<void>::get_return_object() noexcept {
    return Task<void>{std::coroutine_handle<TaskPromise>::from_promise(*this)};
}

/// Runs at once; its frame goes with its end.
struct Job {
    struct promise_type {
        static Job get_return_object() noexcept { return {}; }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        static void unhandled_exception() noexcept { std::terminate(); }
    };
};

/// co_await Io{…} performs one request; its outcome is the error code.
class Io final : public IoRequest {
 public:
    Io(BlockDevice& to, IoKind what, std::uint64_t offset, std::uint64_t length, std::span<const iovec> data = {}) noexcept : to_{to} {
        kind = what;
        offset_bytes = offset;
        length_bytes = length;
        buffers = data;
    }
    static bool await_ready() noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> awaiting) noexcept {
        awaiting_ = awaiting;
        return to_.start(*this) == Started::pending;  // and by then all this may be gone
    }
    [[nodiscard]] boost::system::error_code await_resume() const noexcept { return error; }
    void completed() noexcept override { awaiting_.resume(); }

 private:
    BlockDevice& to_;
    std::coroutine_handle<> awaiting_;
};

/// A coroutine's hold of a mutex.
class Hold {
 public:
    explicit Hold(std::mutex& mutex) : mutex_{mutex} { lock(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
        if (held_) mutex_.unlock();
    }
    void lock() {
        mutex_.lock();
        held_ = true;
    }
    void unlock() {
        held_ = false;
        mutex_.unlock();
    }

 private:
    std::mutex& mutex_;
    bool held_ = false;
};

/// Coroutines that wait for a change under a mutex. As with a condition variable: look again after waiting.
class Waiters {
 public:
    /// co_await waiters.wait(hold): gives the mutex up, and has it again afterwards.
    [[nodiscard]] auto wait(Hold& hold) noexcept {
        struct Wait {
            Waiters& waiters;
            Hold& hold;
            static bool await_ready() noexcept { return false; }
            void await_suspend(std::coroutine_handle<> awaiting) {
                waiters.waiting_.push_back(awaiting);
                hold.unlock();  // from here on it may run
            }
            void await_resume() { hold.lock(); }
        };
        return Wait{*this, hold};
    }
    /// All that wait now go on: call it with the mutex held, and resume what it returns without.
    [[nodiscard]] std::vector<std::coroutine_handle<>> take() noexcept { return std::exchange(waiting_, {}); }
    [[nodiscard]] bool empty() const noexcept { return waiting_.empty(); }

 private:
    std::vector<std::coroutine_handle<>> waiting_;
};

inline void resume_all(std::vector<std::coroutine_handle<>> ready) {
    for (const auto& coroutine : ready) coroutine.resume();
}

}  // namespace diskless::storage
