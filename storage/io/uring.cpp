#include "storage/io/uring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <stdexcept>

namespace diskless::storage {
namespace {

constexpr std::size_t max_pieces = 64;
constexpr std::size_t max_deferred = 64;

bool suits_a_ring(const RawFile& file, const IoRequest& request) noexcept {
    if (request.buffers.size() > max_pieces) return false;
    if (request.kind == IoKind::write) return !request.force_unit_access && !file.geometry().read_only;
    return request.kind == IoKind::read;
}

/// Errors that say nothing about the disk: the same request the plain way may well succeed. All others are believed.
bool is_about_the_ring(int error) noexcept {
    return error == EAGAIN || error == EINTR || error == ECANCELED || error == EINVAL || error == EOPNOTSUPP || error == ENOSYS;
}

/// The kernel takes it along and does nothing.
void void_entry(io_uring_sqe* entry) noexcept {
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, nullptr);
}

}  // namespace

Uring::Uring(std::shared_ptr<ThreadPool> fallback) : fallback_{std::move(fallback)} {
    if (const int result = io_uring_queue_init(queue_entries, &ring_, 0); result < 0) {
        throw std::runtime_error{fmt::format("io_uring cannot be used here: {}", std::strerror(-result))};
    }
    reaper_ = std::thread{[this] { reap(); }};
}

Uring::~Uring() {
    {
        const std::lock_guard lock{submission_};
        io_uring_sqe* entry = io_uring_get_sqe(&ring_);
        for (; entry == nullptr; entry = io_uring_get_sqe(&ring_)) io_uring_submit(&ring_);
        io_uring_prep_nop(entry);
        io_uring_sqe_set_data(entry, this);  // not a request: the sign to end
        while (io_uring_sq_ready(&ring_) != 0) io_uring_submit(&ring_);
    }
    reaper_.join();
    io_uring_queue_exit(&ring_);
}

void Uring::submit(RawFile& file, IoRequest& request) noexcept {
    request.device = &file;
    request.next = nullptr;
    if (!suits_a_ring(file, request)) return fallback_->submit(file, request);
    if (std::this_thread::get_id() == reaper_.get_id()) {
        deferred_.push_back(&request);
    } else if (!queue(request)) {
        fallback_->submit(file, request);
    }
}

// With the lock. Null: the queue is full.
io_uring_sqe* Uring::enqueue(IoRequest& request) noexcept {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return nullptr;
    const int descriptor = static_cast<RawFile*>(request.device)->descriptor();
    const auto pieces = static_cast<unsigned>(request.buffers.size());
    if (request.kind == IoKind::read) {
        io_uring_prep_readv(entry, descriptor, request.buffers.data(), pieces, request.offset_bytes);
    } else {
        io_uring_prep_writev(entry, descriptor, request.buffers.data(), pieces, request.offset_bytes);
    }
    io_uring_sqe_set_data(entry, &request);
    submissions_.fetch_add(1, std::memory_order_release);
    return entry;
}

// False: the kernel did not take it, and it never will.
bool Uring::queue(IoRequest& request) noexcept {
    const std::lock_guard lock{submission_};
    io_uring_sqe* entry = enqueue(request);
    if (entry == nullptr) return false;
    io_uring_submit(&ring_);
    if (io_uring_sq_ready(&ring_) == 0) return true;
    // The kernel is short of memory, and nothing may be under way that would wake the reaper to try again. The entry is the last one and
    // still ours: it becomes a no-operation, which the next submission takes along, and a thread performs the request.
    void_entry(entry);
    return false;
}

// As queue(), for many.
void Uring::submit_deferred() noexcept {
    if (deferred_.empty()) return;
    std::array<io_uring_sqe*, max_deferred> entries{};
    for (std::span<IoRequest*> todo{deferred_}; !todo.empty();) {
        std::size_t queued = 0, taken = 0;
        {
            const std::lock_guard lock{submission_};
            while (queued < std::min(entries.size(), todo.size()) && (entries[queued] = enqueue(*todo[queued])) != nullptr) ++queued;
            io_uring_submit(&ring_);
            taken = queued - std::min<std::size_t>(io_uring_sq_ready(&ring_), queued);
            for (std::size_t i = taken; i < queued; ++i) void_entry(entries[i]);
        }
        const std::size_t refused = std::max<std::size_t>(queued, 1);  // a queue that is full takes none
        for (std::size_t i = taken; i < refused; ++i) fallback_->submit(*static_cast<RawFile*>(todo[i]->device), *todo[i]);
        todo = todo.subspan(refused);
    }
    deferred_.clear();
}

void Uring::reap() noexcept {
    while (reap_some()) submit_deferred();
}

// All that has completed; waits until there is something. False: the end.
bool Uring::reap_some() noexcept {
    io_uring_cqe* completion = nullptr;
    if (io_uring_wait_cqe(&ring_, &completion) < 0) return true;
    do {
        (void)submissions_.load(std::memory_order_acquire);
        void* const data = io_uring_cqe_get_data(completion);
        const int result = completion->res;
        io_uring_cqe_seen(&ring_, completion);
        if (data == this) return false;
        if (data != nullptr) finish(*static_cast<IoRequest*>(data), result);
    } while (deferred_.size() < max_deferred && io_uring_peek_cqe(&ring_, &completion) == 0);
    return true;
}

void Uring::finish(IoRequest& request, int result) noexcept {
    const bool whole = result >= 0 && static_cast<std::uint64_t>(result) == request.length_bytes;
    if (!whole && (result >= 0 || is_about_the_ring(-result))) {
        return fallback_->submit(*static_cast<RawFile*>(request.device), request);
    }
    request.error.assign(whole ? 0 : -result, boost::system::system_category());
    request.completed();
}

}  // namespace diskless::storage
