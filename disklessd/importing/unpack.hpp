// Source: the bytes of a file, unpacked on the way where it is packed (gzip by zlib, xz by liblzma, zstd by libzstd). Memory is bounded;
// what is broken off or damaged is an ImportError.
#pragma once

#include <cstdint>
#include <memory>

#include "common/bytes.hpp"
#include "disklessd/importing/format.hpp"

namespace diskless::importing {

/// For a file's window or dictionary: what `xz -9` and `zstd -19 --long` need, and not what somebody made to exhaust us.
inline constexpr std::uint64_t max_unpack_memory_bytes = 160 << 20;

class Source {
 public:
    virtual ~Source() = default;
    /// Fills `out` unless the end comes first; 0: the end. Throws ImportError.
    virtual std::size_t read(MutableByteSpan out) = 0;
    /// Forward from where it is.
    virtual void skip(std::uint64_t count) = 0;
    /// How far into the file it is: bytes of the file, packed as they are.
    [[nodiscard]] virtual std::uint64_t position() const noexcept = 0;
};

/// `file` stays open as long as the source lives; it is read from its beginning.
[[nodiscard]] std::unique_ptr<Source> open_source(int file, Packing packing);

}  // namespace diskless::importing
