#include "storage/io/uring.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace diskless::storage {

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
        io_uring_prep_nop(entry);
        io_uring_sqe_set_data(entry, nullptr);  // no request: the sign to end
        io_uring_submit(&ring_);
    }
    reaper_.join();
    io_uring_queue_exit(&ring_);
}

void Uring::submit(RawFile& file, IoRequest& request) noexcept {
    request.device = &file;
    const bool simple = (request.kind == IoKind::read || request.kind == IoKind::write) && request.buffers.size() <= 64 &&
                        !(request.kind == IoKind::write && file.geometry().read_only);
    if (!simple) return fallback_->submit(file, request);
    const std::lock_guard lock{submission_};
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return fallback_->submit(file, request);
    const auto pieces = static_cast<unsigned>(request.buffers.size());
    if (request.kind == IoKind::read) {
        io_uring_prep_readv(entry, file.descriptor(), request.buffers.data(), pieces, request.offset_bytes);
    } else {
        io_uring_prep_writev2(entry, file.descriptor(), request.buffers.data(), pieces, request.offset_bytes,
                              request.force_unit_access ? RWF_DSYNC : 0);
    }
    io_uring_sqe_set_data(entry, &request);
    submissions_.fetch_add(1, std::memory_order_release);
    // -EBUSY and -EAGAIN leave the entry queued; the next submit takes it along, and the reaper sees to it that there is one.
    if (io_uring_submit(&ring_) < 0) left_over_.store(true, std::memory_order_release);
}

void Uring::reap() noexcept {
    while (true) {
        io_uring_cqe* completion = nullptr;
        if (const int result = io_uring_wait_cqe(&ring_, &completion); result < 0) continue;
        (void)submissions_.load(std::memory_order_acquire);
        auto* request = static_cast<IoRequest*>(io_uring_cqe_get_data(completion));
        const int result = completion->res;
        io_uring_cqe_seen(&ring_, completion);
        if (request == nullptr) return;
        finish(*request, result);
        if (left_over_.exchange(false, std::memory_order_acq_rel)) {
            const std::lock_guard lock{submission_};
            if (io_uring_submit(&ring_) < 0) left_over_.store(true, std::memory_order_release);
        }
    }
}

// A failure is tried once more the plain way before it is believed: io_uring's errors for what it does not support are not the disk's.
void Uring::finish(IoRequest& request, int result) noexcept {
    if (result < 0 || static_cast<std::uint64_t>(result) != request.length_bytes) {
        return fallback_->submit(*static_cast<RawFile*>(request.device), request);
    }
    request.error.clear();
    request.completed();
}

}  // namespace diskless::storage
