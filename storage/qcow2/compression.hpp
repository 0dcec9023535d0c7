// Compressed clusters: raw deflate and zstd (qcow2: compression type).
#pragma once

#include <optional>
#include <vector>

#include "storage/qcow2/format.hpp"

namespace diskless::storage::qcow2 {

/// Fills all of `cluster` from a stretch that begins with the compressed data and may go on with other bytes. False: it is damaged.
[[nodiscard]] bool decompress(Compression how, ByteSpan stretch, MutableByteSpan cluster);
/// nullopt: not smaller than `cluster`.
[[nodiscard]] std::optional<std::vector<std::byte>> compress(Compression how, ByteSpan cluster);

}  // namespace diskless::storage::qcow2
