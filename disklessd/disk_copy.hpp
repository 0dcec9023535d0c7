// Copying disks: what a disk holds into a file of its own, and a layer of a chain into the one that stands on it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "storage/block_device.hpp"
#include "storage/qcow2/image.hpp"

namespace diskless {

/// Calls `use` for every stretch of `device` that is not zeros, with its contents, in order. Throws std::runtime_error.
void for_all_data(storage::BlockDevice& device, const std::function<void(std::uint64_t offset, ByteSpan data)>& use);

struct Copied {
    std::uint64_t size_bytes = 0;
    std::string digest;
};
/// As a raw file: sparse, read-only, on stable storage; with the digest of its content. `to` must not exist.
[[nodiscard]] Copied copy_to_raw(storage::BlockDevice& device, const std::filesystem::path& to);
/// Into `image`, which is empty.
void copy_to_image(storage::BlockDevice& device, storage::qcow2::Image& image);

/// What `below` holds itself and `above`, which stands on it, does not, goes into `above`: it can then stand on what `below` stands on.
void merge(storage::qcow2::Image& below, storage::qcow2::Image& above);

}  // namespace diskless
