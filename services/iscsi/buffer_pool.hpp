// BufferPool: the memory for the data of all commands of all sessions, with one maximum (configuration: [iscsi] buffer_bytes).
// Blocks come in size classes and are kept for reuse, so that no command on the hot path allocates. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::iscsi {

class BufferPool;

/// A block of a pool; gives itself back. Empty when default-constructed or when the pool had nothing. The pool outlives it.
class Buffer {
 public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept
        : pool_{std::exchange(other.pool_, nullptr)}, bytes_{std::exchange(other.bytes_, nullptr)}, class_{other.class_} {}
    Buffer& operator=(Buffer&& other) noexcept {
        release();
        pool_ = std::exchange(other.pool_, nullptr);
        bytes_ = std::exchange(other.bytes_, nullptr);
        class_ = other.class_;
        return *this;
    }
    ~Buffer() { release(); }

    void release() noexcept;
    [[nodiscard]] MutableByteSpan span() const noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return bytes_ != nullptr; }

 private:
    friend class BufferPool;
    Buffer(BufferPool& pool, std::byte* bytes, unsigned size_class) noexcept : pool_{&pool}, bytes_{bytes}, class_{size_class} {}

    BufferPool* pool_ = nullptr;
    std::byte* bytes_ = nullptr;
    unsigned class_ = 0;
};

/// Who found the pool empty and wants to hear when to try again.
class BufferWaiter {
 public:
    /// From any thread: hand over to your own executor.
    virtual void memory_available() noexcept = 0;

 protected:
    ~BufferWaiter() = default;
};

class BufferPool {
 public:
    explicit BufferPool(std::uint64_t max_bytes) noexcept : max_bytes_{max_bytes} {}
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    ~BufferPool();

    static constexpr std::array<std::size_t, 7> class_bytes = {4096, 16384, 65536, 262144, 1048576, 4194304, 16777216};
    static constexpr std::size_t max_buffer_bytes = class_bytes.back();
    /// Data that arrives unasked cannot wait for memory: it may take the pool beyond its maximum by this share of it (1/4).
    static constexpr std::uint64_t overdraft_divisor = 4;

    enum class Urgency : bool { can_wait, overdraft };
    /// At least `size` bytes (not above max_buffer_bytes), or an empty Buffer.
    [[nodiscard]] Buffer allocate(std::size_t size, Urgency urgency = Urgency::can_wait) noexcept;

    void wait(BufferWaiter& waiter);
    void forget(BufferWaiter& waiter) noexcept;

    /// Gives blocks that nobody uses back to the system.
    void trim() noexcept;
    [[nodiscard]] bool somebody_waits() const noexcept { return somebody_waits_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
    friend class Buffer;
    struct SizeClass {
        std::mutex mutex;
        std::vector<std::byte*> free;
    };
    void give_back(std::byte* bytes, unsigned size_class) noexcept;
    void wake() noexcept;

    const std::uint64_t max_bytes_;
    std::atomic<std::uint64_t> used_{0};
    std::array<SizeClass, class_bytes.size()> classes_;
    std::mutex waiting_mutex_;
    std::deque<BufferWaiter*> waiting_;
    std::atomic<bool> somebody_waits_{false};
};

}  // namespace diskless::iscsi
