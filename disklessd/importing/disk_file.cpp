#include "disklessd/importing/disk_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "common/assert.hpp"
#include "disklessd/importing/error.hpp"

namespace diskless::importing {
namespace {

constexpr std::size_t hole_bytes = 4096;  // what file systems allocate at a time
constexpr std::size_t sector_bytes = 512;
constexpr std::size_t read_bytes = 1 << 20;
constexpr mode_t read_only_mode = 0440;

bool is_zero(ByteSpan bytes) noexcept {
    return bytes.front() == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept { ::EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_{::EVP_MD_CTX_new()} {
    DISKLESS_ASSERT(context_ != nullptr && ::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr) == 1);
}

void Sha256::update(ByteSpan bytes) { ::EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

std::string Sha256::finish() {
    std::array<unsigned char, 32> digest{};
    ::EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
    return fmt::format("sha256:{:02x}", fmt::join(digest, ""));
}

DiskFile::DiskFile(std::filesystem::path path) : path_{std::move(path)} {
    (void)::chmod(path_.c_str(), 0640);  // an attempt that was interrupted at its very end has left it read-only
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file_ < 0) fail(errno);
}

DiskFile::~DiskFile() { ::close(file_); }

void DiskFile::fail(int reason) const {
    if (reason == ENOSPC || reason == EDQUOT)
        throw ImportError{fmt::format("there is no room for it in {}; make some, or delete versions: diskless image delete NAME@N",
                                      path_.parent_path().native())};
    throw ImportError{
        fmt::format("{} cannot be written: {}; give the data directory to the server's user", path_.native(), std::strerror(reason))};
}

bool DiskFile::resume(std::uint64_t bytes, const Seen& seen) {
    struct stat status{};
    if (::fstat(file_, &status) != 0) fail(errno);
    if (std::cmp_less(status.st_size, bytes)) return false;
    if (::ftruncate(file_, static_cast<off_t>(bytes)) != 0) fail(errno);
    std::vector<std::byte> buffer(std::min<std::uint64_t>(bytes, read_bytes));
    for (size_ = 0; size_ < bytes;) {
        const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), bytes - size_);
        const ssize_t n = ::pread(file_, buffer.data(), wanted, static_cast<off_t>(size_));
        if (n <= 0) fail(n < 0 ? errno : EIO);
        digest_.update(ByteSpan{buffer}.first(static_cast<std::size_t>(n)));
        size_ += static_cast<std::uint64_t>(n);
        seen(size_);
    }
    return true;
}

void DiskFile::append(ByteSpan bytes) {
    digest_.update(bytes);
    // Runs of data between runs of zeros, in blocks of the file system's.
    for (std::size_t at = 0, begin = 0; at < bytes.size();) {
        const ByteSpan block = bytes.subspan(at, std::min(hole_bytes, bytes.size() - at));
        const bool hole = is_zero(block);
        if (hole) write(bytes.subspan(begin, at - begin), size_ + begin);
        at += block.size();
        if (hole) begin = at;
        if (at == bytes.size()) write(bytes.subspan(begin), size_ + begin);
    }
    size_ += bytes.size();
}

void DiskFile::write(ByteSpan bytes, std::uint64_t at) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail(errno);
        at += static_cast<std::uint64_t>(n);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

bool DiskFile::clone(int source) { return ::ioctl(file_, FICLONE, source) == 0; }

void DiskFile::sync() {
    // A hole at the end is only there once the file is as long.
    if (::ftruncate(file_, static_cast<off_t>(size_)) != 0 || ::fdatasync(file_) != 0) fail(errno);
}

std::uint64_t DiskFile::finish() {
    const std::uint64_t padding = (sector_bytes - size_ % sector_bytes) % sector_bytes;
    const std::array<std::byte, sector_bytes> zeros{};
    digest_.update(ByteSpan{zeros}.first(padding));
    size_ += padding;
    if (::ftruncate(file_, static_cast<off_t>(size_)) != 0 || ::fchmod(file_, read_only_mode) != 0 || ::fsync(file_) != 0) fail(errno);
    return padding;
}

void sync_folder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!synced) throw ImportError{fmt::format("{} cannot be written: {}; check the file system", folder.native(), std::strerror(reason))};
}

}  // namespace diskless::importing
