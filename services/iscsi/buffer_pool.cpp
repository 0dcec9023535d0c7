#include "services/iscsi/buffer_pool.hpp"

#include <algorithm>
#include <new>

#include "common/assert.hpp"

namespace diskless::iscsi {
namespace {

constexpr std::align_val_t alignment{4096};  // direct I/O wants it, and a page is never shared by two commands
/// Free blocks kept of one class.
constexpr std::size_t max_free_bytes = std::size_t{16} << 20;

}  // namespace

void Buffer::release() noexcept {
    if (bytes_ != nullptr) pool_->give_back(std::exchange(bytes_, nullptr), class_);
}

MutableByteSpan Buffer::span() const noexcept {
    return bytes_ == nullptr ? MutableByteSpan{} : MutableByteSpan{bytes_, BufferPool::class_bytes[class_]};
}

BufferPool::~BufferPool() {
    DISKLESS_ASSERT(used_bytes() == 0);
    trim();
}

Buffer BufferPool::allocate(std::size_t size, Urgency urgency) noexcept {
    DISKLESS_ASSERT(size <= max_buffer_bytes);
    const auto at = static_cast<unsigned>(std::ranges::lower_bound(class_bytes, size) - class_bytes.begin());
    const std::uint64_t limit = urgency == Urgency::overdraft ? max_bytes_ + max_bytes_ / overdraft_divisor : max_bytes_;
    if (used_.fetch_add(class_bytes[at]) + class_bytes[at] > limit) {
        used_.fetch_sub(class_bytes[at]);
        return {};
    }
    SizeClass& blocks = classes_[at];
    {
        const std::lock_guard lock{blocks.mutex};
        if (!blocks.free.empty()) {
            std::byte* bytes = blocks.free.back();
            blocks.free.pop_back();
            return {*this, bytes, at};
        }
    }
    auto* bytes = static_cast<std::byte*>(::operator new(class_bytes[at], alignment, std::nothrow));
    if (bytes == nullptr) {
        used_.fetch_sub(class_bytes[at]);
        return {};
    }
    return {*this, bytes, at};
}

void BufferPool::give_back(std::byte* bytes, unsigned size_class) noexcept {
    SizeClass& blocks = classes_[size_class];
    {
        const std::lock_guard lock{blocks.mutex};
        if ((blocks.free.size() + 1) * class_bytes[size_class] <= max_free_bytes) {
            blocks.free.push_back(bytes);
            bytes = nullptr;
        }
    }
    ::operator delete(bytes, alignment);
    used_.fetch_sub(class_bytes[size_class]);
    if (somebody_waits_.load()) wake();
}

void BufferPool::wait(BufferWaiter& waiter) {
    const std::lock_guard lock{waiting_mutex_};
    if (std::ranges::find(waiting_, &waiter) == waiting_.end()) waiting_.push_back(&waiter);
    somebody_waits_ = true;
}

void BufferPool::forget(BufferWaiter& waiter) noexcept {
    const std::lock_guard lock{waiting_mutex_};
    std::erase(waiting_, &waiter);
    somebody_waits_ = !waiting_.empty();
}

void BufferPool::wake() noexcept {
    // Everyone tries again, in the order in which they came; who finds nothing waits again.
    const std::lock_guard lock{waiting_mutex_};
    for (BufferWaiter* waiter : waiting_) waiter->memory_available();
    waiting_.clear();
    somebody_waits_ = false;
}

void BufferPool::trim() noexcept {
    for (SizeClass& blocks : classes_) {
        const std::lock_guard lock{blocks.mutex};
        for (std::byte* bytes : blocks.free) ::operator delete(bytes, alignment);
        blocks.free.clear();
        blocks.free.shrink_to_fit();
    }
}

}  // namespace diskless::iscsi
