// qemu-img, run as a child process: looks at and converts what is not ours (vmdk, VHD, VHDX, qcow2). It is always told the format, and
// never gets to see a file that names others. Only the package qemu-utils brings it; nothing else of the server needs it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>

#include "disklessd/importing/format.hpp"

namespace diskless::importing {

/// The disk's size in bytes. Throws ImportError when the file is damaged, encrypted, or names other files.
[[nodiscard]] std::uint64_t inspect_image(const std::filesystem::path& file, Format format, const std::stop_token& stop);

/// Writes the disk in `file` to `raw`, with holes where it has none. `done` hears of the share that is done, 0 … 1, from time to time, and
/// may throw to end it. Throws ImportError, or Stopped.
void convert_image(const std::filesystem::path& file, Format format, const std::filesystem::path& raw, const std::stop_token& stop,
                   const std::function<void(double share)>& done);

}  // namespace diskless::importing
