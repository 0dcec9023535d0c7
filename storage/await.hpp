// A block-device request as something a coroutine awaits, completing on the coroutine's own executor.
#pragma once

#include "common/asio.hpp"
#include "storage/block_device.hpp"

namespace diskless::storage {

/// One operation on one buffer (none for flush, write_zeroes and discard: then `length_bytes` counts). Returns its error.
asio::awaitable<error_code> perform(BlockDevice& device, IoKind kind, std::uint64_t offset_bytes, MutableByteSpan buffer,
                                    std::uint64_t length_bytes = 0);

}  // namespace diskless::storage
