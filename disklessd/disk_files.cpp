#include "disklessd/disk_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "disklessd/importing/disk_file.hpp"
#include "storage/qcow2/create.hpp"
#include "storage/raw.hpp"
#include "storage/watched.hpp"

namespace diskless {
namespace {

namespace fs = std::filesystem;

constexpr unsigned max_depth = 32;
/// Memory for the second-level tables of all open images together (see storage::qcow2::CacheLimit).
constexpr std::uint64_t table_memory_bytes = std::uint64_t{64} << 20;

bool lies_in(const fs::path& file, const fs::path& folder) {
    const fs::path relative = file.lexically_relative(folder);
    return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

DiskFiles::DiskFiles(fs::path data_dir, std::shared_ptr<storage::Backend> backend)
    : data_dir_{fs::weakly_canonical(data_dir)},
      backend_{std::move(backend)},
      tables_{std::make_shared<storage::qcow2::CacheLimit>(table_memory_bytes)} {}

std::shared_ptr<storage::BlockDevice> DiskFiles::file(const fs::path& path, const Look& look, bool read_only) {
    return storage::open_raw(path, {.read_only = read_only, .growable = true, .thin = look.thin}, backend_);
}

std::shared_ptr<storage::BlockDevice> DiskFiles::open_raw(const fs::path& path, const Look& look, std::uint64_t create_bytes) {
    return storage::open_raw(path,
                             {.create_bytes = create_bytes,
                              .logical_block_bytes = look.block_bytes,
                              .physical_block_bytes = look.physical_block_bytes,
                              .thin = look.thin},
                             backend_);
}

std::shared_ptr<storage::BlockDevice> DiskFiles::open_shared(const Base& base, const Look& look, const fs::path& outside) {
    return open_shared(base, look, outside, 0);
}

std::shared_ptr<storage::BlockDevice> DiskFiles::open_shared(const Base& base, const Look& look, const fs::path& outside, unsigned depth) {
    if (depth > max_depth)
        throw std::runtime_error{fmt::format("disk {}: it stands on more than {} others", base.path.string(), max_depth)};
    const std::lock_guard lock{mutex_};
    const fs::path path = fs::weakly_canonical(base.path);
    Shared& shared = shared_[path];
    if (auto device = shared.device.lock()) return device;
    std::shared_ptr<storage::BlockDevice> device;
    if (base.format == boot::DiskFormat::qcow2) {
        device = storage::qcow2::Image::open(
            watched(file(path, look, true), shared),
            {.read_only = true,
             .cache = tables_,
             .logical_block_bytes = look.block_bytes,
             .physical_block_bytes = look.physical_block_bytes,
             .thin = look.thin},
            [&](const std::string& name, const std::string& format) { return open_backing(path, name, format, outside, depth + 1); });
    } else {
        device = watched(storage::open_raw(path,
                                           {.read_only = true,
                                            .logical_block_bytes = look.block_bytes,
                                            .physical_block_bytes = look.physical_block_bytes,
                                            .thin = look.thin},
                                           backend_),
                         shared);
    }
    shared.device = device;
    // One that is recorded is remembered until it is opened again.
    std::erase_if(shared_, [&](const auto& entry) { return entry.second.device.expired() && entry.second.reads.use_count() <= 1; });
    return device;
}

std::shared_ptr<storage::BlockDevice> DiskFiles::watched(std::shared_ptr<storage::BlockDevice> file, Shared& shared) {
    const std::uint64_t size_bytes = file->geometry().size_bytes;
    if (!shared.reads || shared.reads->size_bytes() != size_bytes) shared.reads = std::make_shared<storage::ReadMap>(size_bytes);
    shared.below.clear();
    return std::make_shared<storage::WatchedDevice>(std::move(file), shared.reads);
}

std::vector<WatchedFile> DiskFiles::chain_of(const fs::path& path) {
    const std::lock_guard lock{mutex_};
    std::vector<WatchedFile> chain;
    for (auto at = shared_.find(fs::weakly_canonical(path)); at != shared_.end() && chain.size() <= max_depth;
         at = shared_.find(at->second.below))
        chain.push_back({at->first, at->second.reads});
    return chain;
}

std::shared_ptr<storage::BlockDevice> DiskFiles::open_backing(const fs::path& of, const std::string& name, const std::string& format,
                                                              const fs::path& outside, unsigned depth) {
    const auto refuse = [&](std::string_view why) {
        throw std::runtime_error{fmt::format("disk {}: its backing file \"{}\" {}", of.string(), name, why)};
    };
    const auto known = boot::disk_format(format);
    if (!known)
        refuse(format.empty() ? "is of no stated format; state it: qemu-img rebase -u -F raw|qcow2 -b FILE" : "is neither raw nor qcow2");
    const fs::path path = fs::weakly_canonical(of.parent_path() / name);
    if (path != fs::weakly_canonical(outside) && !lies_in(path, data_dir_ / "images") && !lies_in(path, data_dir_ / "disks") &&
        !lies_in(path, of.parent_path()))
        refuse("lies outside the folder of images; it is not read");
    auto device = open_shared({.path = path, .format = *known}, {}, outside, depth);
    const std::lock_guard lock{mutex_};
    if (const auto above = shared_.find(of); above != shared_.end()) above->second.below = path;
    return device;
}

std::shared_ptr<storage::qcow2::Image> DiskFiles::open_overlay(const fs::path& path, const Look& look, const fs::path& outside) {
    return storage::qcow2::Image::open(
        file(path, look, false),
        {.cache = tables_,
         .journal = journal_of(path),
         .logical_block_bytes = look.block_bytes,
         .physical_block_bytes = look.physical_block_bytes,
         .thin = look.thin,
         .space_is_short = space_is_short_},
        [&](const std::string& name, const std::string& format) { return open_backing(path, name, format, outside, 1); });
}

void DiskFiles::create_overlay(const fs::path& path, std::uint64_t size_bytes, const Base* base) {
    fs::create_directories(path.parent_path());
    const fs::path unfinished = path.string() + ".new";
    remove(unfinished);
    std::ofstream{unfinished, std::ios::binary};
    fs::permissions(unfinished, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
    {
        const auto made = file(unfinished, {}, false);
        storage::qcow2::CreateOptions options{.size_bytes = size_bytes};
        if (base != nullptr) {
            options.backing_name = name_from(path, base->path);
            options.backing_format = name_of(base->format);
        }
        if (const auto error = create(*made, options)) {
            remove(unfinished);
            throw std::runtime_error{fmt::format("disk {}: {}", path.string(), error.message())};
        }
    }
    // The old file's journal goes with it; whoever still has both open keeps them.
    std::error_code ignored;
    fs::remove(journal_of(path), ignored);
    fs::rename(unfinished, path);
    importing::sync_folder(path.parent_path());
}

void DiskFiles::remove(const fs::path& path) {
    std::error_code ignored;
    fs::remove(path, ignored);
    fs::remove(journal_of(path), ignored);
}

std::string DiskFiles::name_from(const fs::path& path, const fs::path& base) const {
    const fs::path from = fs::weakly_canonical(path.parent_path()), to = fs::weakly_canonical(base);
    return lies_in(from, data_dir_) && lies_in(to, data_dir_) ? to.lexically_relative(from).string() : to.string();
}

fs::path DiskFiles::journal_of(fs::path path) { return path.replace_extension(".journal"); }

}  // namespace diskless
