// A raw image as a block device: what the page cache has is answered at once, everything else goes to the backend.
#pragma once

#include <filesystem>
#include <memory>

#include "storage/block_device.hpp"
#include "storage/io/backend.hpp"

namespace diskless::storage {

/// Opens and locks the file. Throws std::runtime_error with one clear line. The device must outlive its requests; the backend is kept.
[[nodiscard]] std::shared_ptr<BlockDevice> open_raw(const std::filesystem::path& path, const RawOptions& options,
                                                    std::shared_ptr<Backend> backend);

}  // namespace diskless::storage
