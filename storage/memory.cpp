#include "storage/memory.hpp"

#include <algorithm>
#include <cerrno>

namespace diskless::storage {

MemoryDevice::MemoryDevice(Geometry geometry)
    : geometry_{geometry}, bytes_{std::make_shared<std::vector<std::byte>>(geometry.size_bytes)} {}

Started MemoryDevice::start(IoRequest& request) noexcept {
    request.error.clear();
    const bool changes = request.kind != IoKind::read && request.kind != IoKind::flush && request.kind != IoKind::allocation;
    if (changes && geometry_.read_only) {
        request.error.assign(EROFS, boost::system::system_category());
        return Started::completed;
    }
    if (request.offset_bytes > bytes_->size() || request.length_bytes > bytes_->size() - request.offset_bytes) {
        request.error.assign(changes ? ENOSPC : EINVAL, boost::system::system_category());
        return Started::completed;
    }
    auto at = bytes_->begin() + static_cast<std::ptrdiff_t>(request.offset_bytes);
    switch (request.kind) {
        case IoKind::read:
        case IoKind::write:
            for (const iovec& buffer : request.buffers) {
                auto* const memory = static_cast<std::byte*>(buffer.iov_base);
                const auto length = static_cast<std::ptrdiff_t>(buffer.iov_len);
                if (request.kind == IoKind::read) {
                    std::copy_n(at, length, memory);
                } else {
                    std::copy_n(memory, length, at);
                }
                at += length;
            }
            break;
        case IoKind::write_zeroes:
        case IoKind::discard: std::fill_n(at, request.length_bytes, std::byte{0}); break;
        case IoKind::allocation:
            request.extents[0] = {request.offset_bytes, request.length_bytes, true};
            request.extent_count = 1;
            break;
        case IoKind::flush: break;
    }
    return Started::completed;
}

std::optional<Borrowed> MemoryDevice::borrow(std::uint64_t offset_bytes, std::size_t length_bytes) noexcept {
    return Borrowed{ByteSpan{*bytes_}.subspan(offset_bytes, length_bytes), bytes_};
}

}  // namespace diskless::storage
