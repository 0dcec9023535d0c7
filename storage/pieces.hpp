// Buffers of a request: parts of them, zeros and copies in them.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::storage {

/// `bytes` of `buffers` from byte `skip` on.
[[nodiscard]] inline std::vector<iovec> cut(std::span<const iovec> buffers, std::uint64_t skip, std::uint64_t bytes) {
    std::vector<iovec> pieces;
    pieces.reserve(buffers.size());
    for (const iovec& buffer : buffers) {
        if (bytes == 0) break;
        if (skip >= buffer.iov_len) {
            skip -= buffer.iov_len;
            continue;
        }
        const std::uint64_t length = std::min<std::uint64_t>(bytes, buffer.iov_len - skip);
        pieces.push_back({static_cast<std::byte*>(buffer.iov_base) + skip, length});
        bytes -= length;
        skip = 0;
    }
    return pieces;
}

inline void fill_with_zeros(std::span<const iovec> buffers) noexcept {
    for (const iovec& buffer : buffers) std::memset(buffer.iov_base, 0, buffer.iov_len);
}

inline void copy_into(std::span<const iovec> buffers, ByteSpan from) noexcept {
    for (const iovec& buffer : buffers) {
        std::memcpy(buffer.iov_base, from.data(), buffer.iov_len);
        from = from.subspan(buffer.iov_len);
    }
}

}  // namespace diskless::storage
