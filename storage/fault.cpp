#include "storage/fault.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "common/assert.hpp"

namespace diskless::storage {
namespace {

constexpr std::uint64_t sector_bytes = 512;

struct PlainRequest final : IoRequest {
    void completed() noexcept override { DISKLESS_ASSERT(false && "a device under CrashDevice completes at once"); }
};

void perform(BlockDevice& device, IoKind kind, std::uint64_t offset_bytes, MutableByteSpan bytes) {
    const iovec piece{bytes.data(), bytes.size()};
    PlainRequest request;
    request.kind = kind;
    request.offset_bytes = offset_bytes;
    request.length_bytes = bytes.size();
    request.buffers = {&piece, 1};
    DISKLESS_ASSERT(device.start(request) == Started::completed && !request.error);
}

}  // namespace

void FaultDevice::fail(std::function<bool(const IoRequest&)> chosen, int error) {
    const std::lock_guard lock{mutex_};
    chosen_ = std::move(chosen);
    error_ = error;
}

void FaultDevice::hold() {
    const std::lock_guard lock{mutex_};
    holding_ = true;
}

std::size_t FaultDevice::held() const {
    const std::lock_guard lock{mutex_};
    return kept_.size();
}

std::size_t FaultDevice::release() {
    std::vector<IoRequest*> kept;
    {
        const std::lock_guard lock{mutex_};
        holding_ = false;
        kept.swap(kept_);
    }
    for (IoRequest* request : kept) {
        if (fails(*request) || below_->start(*request) == Started::completed) request->completed();
    }
    return kept.size();
}

bool FaultDevice::fails(IoRequest& request) const {
    const std::lock_guard lock{mutex_};
    if (!chosen_ || !chosen_(request)) return false;
    request.error.assign(error_, boost::system::system_category());
    return true;
}

Started FaultDevice::start(IoRequest& request) noexcept {
    {
        const std::lock_guard lock{mutex_};
        if (holding_) {
            kept_.push_back(&request);
            return Started::pending;
        }
    }
    return fails(request) ? Started::completed : below_->start(request);
}

void CrashDevice::remember(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
    for (std::uint64_t at = offset_bytes / sector_bytes * sector_bytes; at < offset_bytes + length_bytes; at += sector_bytes) {
        Sector sector{.offset_bytes = at, .before = std::vector<std::byte>(sector_bytes)};
        perform(*below_, IoKind::read, at, sector.before);
        unsynced_.push_back(std::move(sector));
    }
}

// A durable write over an unsynced one: what was there before can no longer come back.
void CrashDevice::forget(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
    std::erase_if(unsynced_,
                  [&](const Sector& s) { return s.offset_bytes >= offset_bytes && s.offset_bytes - offset_bytes < length_bytes; });
}

Started CrashDevice::start(IoRequest& request) noexcept {
    if (request.kind == IoKind::flush) unsynced_.clear();
    if (request.kind != IoKind::flush && request.kind != IoKind::read && request.kind != IoKind::allocation) {
        if (request.force_unit_access) {
            forget(request.offset_bytes, request.length_bytes);
        } else {
            remember(request.offset_bytes, request.length_bytes);
        }
    }
    return below_->start(request);
}

void CrashDevice::crash() {
    // Newest first: an older content that is put back later wins, as if the disk had stopped earlier for that sector.
    for (Sector& sector : std::views::reverse(unsynced_)) {
        if (random_() % 2 == 0) perform(*below_, IoKind::write, sector.offset_bytes, sector.before);
    }
    unsynced_.clear();
}

std::vector<std::byte> CrashDevice::after_crash(ByteSpan contents, std::uint64_t seed) const {
    std::vector<std::byte> copy{contents.begin(), contents.end()};
    std::mt19937_64 random{seed};
    for (const Sector& sector : std::views::reverse(unsynced_)) {
        if (random() % 2 == 0) std::ranges::copy(sector.before, copy.begin() + static_cast<std::ptrdiff_t>(sector.offset_bytes));
    }
    return copy;
}

}  // namespace diskless::storage
