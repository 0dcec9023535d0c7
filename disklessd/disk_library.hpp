// DiskLibrary: the disks behind every target, opened once at start (so that a missing or locked file is told before anyone boots) and again
// on reload.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "boot/catalog.hpp"
#include "storage/io/backend.hpp"

namespace diskless {

/// A LUN that is ready to be served.
struct OpenDisk {
    boot::Disk disk;
    std::shared_ptr<storage::BlockDevice> device;
};

class DiskLibrary {
 public:
    DiskLibrary(std::filesystem::path data_dir, std::shared_ptr<storage::Backend> backend);

    /// Opens what the catalog names and is not open yet, closes what it names no more (once its sessions are gone). Blocks: for start-up
    /// and reload. Returns one line for every disk that cannot be served; the others are.
    std::vector<std::string> open(const boot::Catalog& catalog);

    /// The open disks of the target called `name` (a client's or a declared target's), in the order of their LUNs. Any thread.
    [[nodiscard]] std::vector<OpenDisk> disks_of(std::string_view name) const;

 private:
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_disk(const boot::Catalog& catalog, std::string_view owner,
                                                                  const boot::Disk& disk);
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_file(const std::filesystem::path& path, const storage::RawOptions& options);
    [[nodiscard]] std::filesystem::path private_copy(const std::filesystem::path& image, std::string_view owner,
                                                     const boot::Disk& disk) const;
    [[nodiscard]] std::filesystem::path disk_path(std::string_view owner, const boot::Disk& disk) const;
    [[nodiscard]] std::filesystem::path under_data_dir(const std::filesystem::path& path) const;

    std::filesystem::path data_dir_;
    std::shared_ptr<storage::Backend> backend_;
    // Read-only files are shared by all who name them: one descriptor, one copy in the page cache.
    std::map<std::filesystem::path, std::weak_ptr<storage::BlockDevice>> open_files_;
    mutable std::mutex mutex_;
    std::map<std::string, std::vector<OpenDisk>, std::less<>> disks_;
};

}  // namespace diskless
