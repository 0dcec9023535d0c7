// Image files on a real file system, opened with the engine: what the daemon does, without the daemon.
#pragma once

#include <filesystem>
#include <memory>

#include "storage/io/backend.hpp"
#include "storage/qcow2/image.hpp"

namespace diskless::exercise {

/// A writable file that may be empty, and grows.
[[nodiscard]] std::shared_ptr<storage::BlockDevice> open_file(const std::filesystem::path& path, bool read_only,
                                                              const std::shared_ptr<storage::Backend>& backend);

/// Backing files are looked for in the image's own folder and nowhere else, their format has to be stated, and a chain has an end.
/// Throws std::runtime_error.
[[nodiscard]] std::shared_ptr<storage::qcow2::Image> open_image(const std::filesystem::path& path,
                                                                const storage::qcow2::ImageOptions& options,
                                                                const std::shared_ptr<storage::Backend>& backend, unsigned depth = 0);

}  // namespace diskless::exercise
