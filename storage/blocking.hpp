// One request, waited for on this thread: for opening, creating and repairing images, and for tests. Never on an event loop's thread.
#pragma once

#include <semaphore>

#include "storage/block_device.hpp"

namespace diskless::storage {

class BlockingRequest final : public IoRequest {
 public:
    boost::system::error_code run(BlockDevice& device) noexcept {
        if (device.start(*this) == Started::pending) done_.acquire();
        return error;
    }
    void completed() noexcept override { done_.release(); }

 private:
    std::binary_semaphore done_{0};
};

inline boost::system::error_code read_now(BlockDevice& device, std::uint64_t offset_bytes, MutableByteSpan into) noexcept {
    const iovec piece{into.data(), into.size()};
    BlockingRequest request;
    request.offset_bytes = offset_bytes;
    request.length_bytes = into.size();
    request.buffers = {&piece, 1};
    return request.run(device);
}

inline boost::system::error_code write_now(BlockDevice& device, std::uint64_t offset_bytes, ByteSpan data) noexcept {
    const iovec piece{const_cast<std::byte*>(data.data()), data.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast): iovec's type
    BlockingRequest request;
    request.kind = IoKind::write;
    request.offset_bytes = offset_bytes;
    request.length_bytes = data.size();
    request.buffers = {&piece, 1};
    return request.run(device);
}

inline boost::system::error_code flush_now(BlockDevice& device) noexcept {
    BlockingRequest request;
    request.kind = IoKind::flush;
    return request.run(device);
}

}  // namespace diskless::storage
