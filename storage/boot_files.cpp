#include "storage/boot_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <utility>

namespace diskless::storage {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_letters(std::string_view a, std::string_view b) noexcept { return std::ranges::equal(a, b, {}, lower, lower); }

/// Never waits (a FIFO would), never leaves `folder`: not by "..", not by a symbolic link, not through /proc.
int open_beneath(const std::filesystem::path& folder, const std::string& name) noexcept {
    const int root = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return -1;
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    auto fd = static_cast<int>(::syscall(SYS_openat2, root, name.c_str(), &how, sizeof how));
    // Before Linux 5.6, and in containers that filter the call: no symbolic link at the end, and the folder's own must not lead out.
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        std::error_code error;
        const auto real = std::filesystem::canonical(folder / name, error);
        const auto real_root = std::filesystem::canonical(folder, error);
        const bool inside = !error && std::ranges::mismatch(real_root, real).in1 == real_root.end();
        fd = inside ? ::open(real.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW) : -1;
    }
    ::close(root);
    return fd;
}

/// Takes over the descriptor.
std::optional<BootFile> regular_file(int fd, const std::string& name) {
    if (fd < 0) return std::nullopt;
    struct stat status{};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(fd);
        return std::nullopt;
    }
    return BootFile{fd, static_cast<std::uint64_t>(status.st_size), status.st_mtime, name};
}

std::optional<BootFile> open_in_root(const std::filesystem::path& root, const std::string& name) {
    return regular_file(open_beneath(root, name), name);
}

/// A package's folder is trusted, its links are followed: Debian's ipxe.efi is one to /boot/ipxe.efi. `name` has no slash.
std::optional<BootFile> open_in_distribution(const std::filesystem::path& folder, const std::string& name) {
    return regular_file(::open((folder / name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), name);
}

/// One name of `folder` that differs from `wanted` in case only: the same one every time, whatever order the disk has them in.
std::optional<std::string> entry_like(const std::filesystem::path& folder, std::string_view wanted) {
    std::optional<std::string> match;
    std::error_code error;
    for (std::filesystem::directory_iterator entry{folder, error}, end; !error && entry != end; entry.increment(error)) {
        std::string here = entry->path().filename().string();
        if (here == wanted) return here;
        if (same_letters(here, wanted) && (!match || here < *match)) match = std::move(here);
    }
    return match;
}

/// The name as it is spelled on the disk, where only the case differs: Windows loaders ask so.
std::optional<std::string> spelled_on_disk(const std::filesystem::path& folder, std::string_view name) {
    std::string found;
    for (const auto part : std::views::split(name, '/')) {
        const auto match = entry_like(folder / found, std::string_view{part});
        if (!match) return std::nullopt;
        found += (found.empty() ? "" : "/") + *match;
    }
    return found;
}

}  // namespace

BootFile::BootFile(BootFile&& other) noexcept
    : descriptor_{std::exchange(other.descriptor_, -1)},
      size_bytes_{other.size_bytes_},
      modified_{other.modified_},
      name_{std::move(other.name_)} {}

BootFile& BootFile::operator=(BootFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    size_bytes_ = other.size_bytes_;
    modified_ = other.modified_;
    name_ = std::move(other.name_);
    return *this;
}

BootFile::~BootFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

bool BootFile::read(std::uint64_t offset_bytes, MutableByteSpan into) const noexcept {
    while (!into.empty()) {
        const ssize_t n = ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset_bytes));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        offset_bytes += static_cast<std::uint64_t>(n);
        into = into.subspan(static_cast<std::size_t>(n));
    }
    return true;
}

std::vector<std::filesystem::path> BootFiles::distribution_folders() { return {"/usr/lib/ipxe"}; }

std::vector<BootFiles::Alias> BootFiles::distribution_aliases() {
    const std::filesystem::path shim{"/usr/lib/shim"}, grub_x64{"/usr/lib/grub/x86_64-efi-signed"},
        grub_arm64{"/usr/lib/grub/arm64-efi-signed"};
    return {{"shimx64.efi", shim / "shimx64.efi.signed"},        {"mmx64.efi", shim / "mmx64.efi.signed"},
            {"grubx64.efi", grub_x64 / "grubnetx64.efi.signed"}, {"shimaa64.efi", shim / "shimaa64.efi.signed"},
            {"mmaa64.efi", shim / "mmaa64.efi.signed"},          {"grubaa64.efi", grub_arm64 / "grubnetaa64.efi.signed"}};
}

BootFiles::BootFiles(std::filesystem::path root, std::vector<std::filesystem::path> distribution, std::vector<Alias> aliases)
    : root_{std::move(root)}, distribution_{std::move(distribution)}, aliases_{std::move(aliases)} {}

std::optional<std::string> BootFiles::clean(std::string_view requested) {
    if (requested.size() > max_name_bytes) return std::nullopt;
    const auto is_junk = [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0xff; };
    while (!requested.empty() && is_junk(requested.back())) requested.remove_suffix(1);
    if (std::ranges::any_of(requested, is_junk)) return std::nullopt;
    std::string slashes{requested};
    std::ranges::replace(slashes, '\\', '/');
    std::string out;
    for (const auto part : std::views::split(slashes, '/')) {
        const std::string_view name{part};
        if (name.empty() || name == ".") continue;
        if (name == "..") return std::nullopt;
        if (!out.empty()) out += '/';
        out += name;
    }
    if (out.empty()) return std::nullopt;
    return out;
}

std::optional<BootFile> BootFiles::open(std::string_view requested) const {
    const auto name = clean(requested);
    if (!name) return std::nullopt;
    if (auto file = open_in_root(root_, *name)) return file;
    const bool may_be_loader = !name->contains('/');
    if (may_be_loader) {
        for (const auto& folder : distribution_) {
            if (auto file = open_in_distribution(folder, *name)) return file;
        }
        if (const auto alias = std::ranges::find_if(aliases_, [&](const Alias& a) { return same_letters(a.name, *name); });
            alias != aliases_.end()) {
            if (auto file = open_in_distribution(alias->file.parent_path(), alias->file.filename())) return file;
        }
    }
    if (const auto spelled = spelled_on_disk(root_, *name)) return open_in_root(root_, *spelled);
    if (may_be_loader) {
        for (const auto& folder : distribution_) {
            if (const auto spelled = entry_like(folder, *name)) return open_in_distribution(folder, *spelled);
        }
    }
    return std::nullopt;
}

}  // namespace diskless::storage
