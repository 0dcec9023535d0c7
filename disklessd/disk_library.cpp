#include "disklessd/disk_library.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "common/log.hpp"
#include "storage/raw.hpp"

namespace diskless {
namespace {

class Descriptor {
 public:
    Descriptor(const std::filesystem::path& path, int flags) : fd_{::open(path.c_str(), flags | O_CLOEXEC, 0640)} {
        if (fd_ < 0) throw std::runtime_error{fmt::format("{}: {}", path.string(), std::strerror(errno))};
    }
    ~Descriptor() { ::close(fd_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const noexcept { return fd_; }

 private:
    int fd_;
};

/// Copies data, keeps holes; shares blocks where the file system can.
void copy_sparse(const std::filesystem::path& from, const std::filesystem::path& to) {
    const Descriptor source{from, O_RDONLY};
    const Descriptor copy{to, O_WRONLY | O_CREAT | O_TRUNC};
    if (::ioctl(copy.get(), FICLONE, source.get()) == 0) return;
    const auto size = static_cast<off_t>(std::filesystem::file_size(from));
    if (::ftruncate(copy.get(), size) != 0) throw std::runtime_error{fmt::format("{}: {}", to.string(), std::strerror(errno))};
    off_t at = 0;
    while ((at = ::lseek(source.get(), at, SEEK_DATA)) >= 0 && at < size) {
        const off_t end = ::lseek(source.get(), at, SEEK_HOLE);
        off_t in = at;
        off_t out = at;
        while (in < end) {
            const ssize_t n = ::copy_file_range(source.get(), &in, copy.get(), &out, static_cast<std::size_t>(end - in), 0);
            if (n <= 0)
                throw std::runtime_error{
                    fmt::format("copying {} to {}: {}", from.string(), to.string(), n < 0 ? std::strerror(errno) : "it became shorter")};
        }
        at = end;
    }
    if (::fsync(copy.get()) != 0) throw std::runtime_error{fmt::format("{}: {}", to.string(), std::strerror(errno))};
}

bool is_qcow2(const std::filesystem::path& path) {
    std::array<char, 4> magic{};
    std::ifstream in{path, std::ios::binary};
    return in.read(magic.data(), magic.size()) && std::string_view{magic.data(), magic.size()} == "QFI\xfb";
}

storage::RawOptions options_of(const boot::Disk& disk, bool read_only, std::uint64_t create_bytes = 0) {
    return {.read_only = read_only,
            .create_bytes = create_bytes,
            .logical_block_bytes = disk.block_bytes,
            .physical_block_bytes = disk.physical_block_bytes,
            .thin = disk.thin};
}

}  // namespace

DiskLibrary::DiskLibrary(std::filesystem::path data_dir, std::shared_ptr<storage::Backend> backend)
    : data_dir_{std::move(data_dir)}, backend_{std::move(backend)} {}

std::filesystem::path DiskLibrary::under_data_dir(const std::filesystem::path& path) const {
    return path.is_absolute() ? path : data_dir_ / path;
}

std::filesystem::path DiskLibrary::disk_path(std::string_view owner, const boot::Disk& disk) const {
    return data_dir_ / "disks" / fmt::format("{}-lun{}.img", owner, disk.lun);
}

std::vector<std::string> DiskLibrary::open(const boot::Catalog& catalog) {
    std::vector<std::string> failures;
    std::map<std::string, std::vector<OpenDisk>, std::less<>> opened;
    const auto open_all = [&](const std::string& owner, const std::vector<boot::Disk>& disks) {
        const std::vector<OpenDisk> before = disks_of(owner);
        std::vector<OpenDisk>& now = opened[owner];
        for (const boot::Disk& disk : disks) {
            const auto same = std::ranges::find(before, disk, &OpenDisk::disk);
            try {
                now.push_back(same != before.end() ? *same : OpenDisk{disk, open_disk(catalog, owner, disk)});
            } catch (const std::exception& e) {
                failures.push_back(fmt::format("{} lun {}: {}", owner, disk.lun, e.what()));
            }
        }
        std::ranges::sort(now, {}, [](const OpenDisk& d) { return d.disk.lun; });
    };
    for (const boot::Client& client : catalog.clients()) open_all(client.name, client.disks);
    for (const boot::Target& target : catalog.targets()) open_all(target.name, target.luns);
    const std::lock_guard lock{mutex_};
    disks_ = std::move(opened);
    return failures;
}

std::vector<OpenDisk> DiskLibrary::disks_of(std::string_view name) const {
    const std::lock_guard lock{mutex_};
    const auto found = disks_.find(name);
    return found == disks_.end() ? std::vector<OpenDisk>{} : found->second;
}

std::shared_ptr<storage::BlockDevice> DiskLibrary::open_disk(const boot::Catalog& catalog, std::string_view owner, const boot::Disk& disk) {
    const bool read_only = disk.mode == boot::DiskMode::read_only;
    if (const auto* file = std::get_if<boot::FileSource>(&disk.source)) {
        const auto path = under_data_dir(file->path);
        if (!file->path.is_absolute()) std::filesystem::create_directories(path.parent_path());
        return open_file(path, options_of(disk, read_only, file->size_bytes));
    }
    if (const auto* blank = std::get_if<boot::BlankSource>(&disk.source)) {
        std::filesystem::create_directories(data_dir_ / "disks");
        return open_file(disk_path(owner, disk), options_of(disk, read_only, blank->size_bytes));
    }
    const std::string& reference = std::get<boot::ImageSource>(disk.source).image;
    const boot::Image* image = catalog.image(std::string_view{reference}.substr(0, reference.find('@')));
    if (image == nullptr) throw std::runtime_error{fmt::format("there is no image {}", reference)};
    const auto path = under_data_dir(image->file);
    if (is_qcow2(path))
        throw std::runtime_error{
            fmt::format("image {} is qcow2, which this version cannot serve; convert it: qemu-img convert -O raw", path.string())};
    if (disk.mode == boot::DiskMode::ephemeral) {
        throw std::runtime_error{
            "mode \"ephemeral\" needs copy-on-write disks, which this version does not have; use \"persistent\" or \"read-only\""};
    }
    if (read_only || disk.mode == boot::DiskMode::shared) return open_file(path, options_of(disk, true));
    return open_file(private_copy(path, owner, disk), options_of(disk, false));
}

std::shared_ptr<storage::BlockDevice> DiskLibrary::open_file(const std::filesystem::path& path, const storage::RawOptions& options) {
    if (!options.read_only) return storage::open_raw(path, options, backend_);
    std::weak_ptr<storage::BlockDevice>& shared = open_files_[std::filesystem::weakly_canonical(path)];
    if (auto device = shared.lock()) return device;
    auto device = storage::open_raw(path, options, backend_);
    shared = device;
    return device;
}

// Under another name until it is complete: a copy that was interrupted is never taken for a disk.
std::filesystem::path DiskLibrary::private_copy(const std::filesystem::path& image, std::string_view owner, const boot::Disk& disk) const {
    const auto path = disk_path(owner, disk);
    if (std::filesystem::exists(path)) return path;
    std::filesystem::create_directories(path.parent_path());
    auto unfinished = path;
    unfinished += ".new";
    copy_sparse(image, unfinished);
    std::filesystem::rename(unfinished, path);
    log::info("disk.created", "disk={} image={}", path.string(), image.string());
    return path;
}

}  // namespace diskless
