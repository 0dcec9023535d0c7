// DiskFiles: disk files as devices: raw files, images and overlays with their chains. What the name of a backing file may mean is decided
// here: it is never probed, and never read outside the folders that disks live in.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "boot/image.hpp"
#include "disklessd/boot_sets.hpp"
#include "storage/io/backend.hpp"
#include "storage/qcow2/image.hpp"

namespace diskless {

class DiskFiles {
 public:
    DiskFiles(std::filesystem::path data_dir, std::shared_ptr<storage::Backend> backend);

    /// What a disk says of itself to initiators.
    struct Look {
        std::uint32_t block_bytes = 512;
        std::uint32_t physical_block_bytes = 4096;
        bool thin = true;
        [[nodiscard]] static Look of(const boot::Disk& disk) noexcept { return {disk.block_bytes, disk.physical_block_bytes, disk.thin}; }
    };
    /// A file that disks stand on.
    struct Base {
        std::filesystem::path path;  ///< absolute
        boot::DiskFormat format = boot::DiskFormat::raw;
    };

    // All of these block, and throw std::runtime_error with one clear line.

    /// Read-only, and the same device for all who ask for it: one descriptor, one set of tables, one copy in the page cache. `outside`: a
    /// file outside our folders that its chain may end in.
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_shared(const Base& base, const Look& look,
                                                                    const std::filesystem::path& outside = {});
    /// A file that has been opened so, and those that it stands on.
    [[nodiscard]] std::vector<WatchedFile> chain_of(const std::filesystem::path& path);
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_raw(const std::filesystem::path& path, const Look& look,
                                                                 std::uint64_t create_bytes);
    /// A qcow2 file that is written, with its journal beside it. `outside` as above.
    [[nodiscard]] std::shared_ptr<storage::qcow2::Image> open_overlay(const std::filesystem::path& path, const Look& look,
                                                                      const std::filesystem::path& outside = {});
    /// A new one, whole or not at all. `base`: none makes a blank disk. The file takes the place of one that is there.
    void create_overlay(const std::filesystem::path& path, std::uint64_t size_bytes, const Base* base);
    /// With its journal. What is not there is no error.
    static void remove(const std::filesystem::path& path);

    /// How `base` is called in a file beside `path`: relative if both are in the data directory.
    [[nodiscard]] std::string name_from(const std::filesystem::path& path, const std::filesystem::path& base) const;
    [[nodiscard]] static std::filesystem::path journal_of(std::filesystem::path path);
    [[nodiscard]] const std::shared_ptr<std::atomic<bool>>& space_is_short() const noexcept { return space_is_short_; }

 private:
    struct Shared {
        std::weak_ptr<storage::BlockDevice> device;
        std::shared_ptr<storage::ReadMap> reads;
        std::filesystem::path below;  ///< empty: it stands on none
    };

    [[nodiscard]] std::shared_ptr<storage::BlockDevice> file(const std::filesystem::path& path, const Look& look, bool read_only);
    [[nodiscard]] static std::shared_ptr<storage::BlockDevice> watched(std::shared_ptr<storage::BlockDevice> file, Shared& shared);
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_backing(const std::filesystem::path& of, const std::string& name,
                                                                     const std::string& format, const std::filesystem::path& outside,
                                                                     unsigned depth);
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_shared(const Base& base, const Look& look,
                                                                    const std::filesystem::path& outside, unsigned depth);

    const std::filesystem::path data_dir_;
    const std::shared_ptr<storage::Backend> backend_;
    const std::shared_ptr<storage::qcow2::CacheLimit> tables_;
    const std::shared_ptr<std::atomic<bool>> space_is_short_ = std::make_shared<std::atomic<bool>>(false);
    std::recursive_mutex mutex_;  // of the map; a chain is opened from its top
    std::map<std::filesystem::path, Shared> shared_;
};

}  // namespace diskless
