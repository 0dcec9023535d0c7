// New qcow2 files.
#pragma once

#include <string>

#include "storage/block_device.hpp"
#include "storage/qcow2/format.hpp"

namespace diskless::storage::qcow2 {

/// The defaults are our overlays': subclusters make first writes cheap and small (measured: bench/storage).
struct CreateOptions {
    std::uint64_t size_bytes = 0;
    unsigned cluster_bits = 16;
    bool extended_l2 = true;
    Compression compression = Compression::zstd;
    std::string backing_name;    ///< empty: none
    std::string backing_format;  ///< "raw" or "qcow2"
};

/// Makes `file`, which is empty, an image without data. Durable when it returns. Blocks.
[[nodiscard]] boost::system::error_code create(BlockDevice& file, const CreateOptions& options);

}  // namespace diskless::storage::qcow2
