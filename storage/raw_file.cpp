#include "storage/raw_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "common/lock_patience.hpp"

namespace diskless::storage {
namespace {

/// A system call takes at most this many pieces of a request; longer lists go in several calls.
constexpr std::size_t max_pieces = 64;
constexpr std::size_t zero_chunk_bytes = std::size_t{64} << 10;

[[noreturn]] void refuse_file(const std::filesystem::path& path, std::string_view problem, std::string_view remedy) {
    throw std::runtime_error{fmt::format("disk {}: {}; {}", path.string(), problem, remedy)};
}

/// Walks a request's buffers from any byte on.
class Pieces {
 public:
    // Only the first count_ are ever read, and a kilobyte of zeros for each system call would cost.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    Pieces(std::span<const iovec> buffers, std::uint64_t skip_bytes) noexcept {
        for (const iovec& buffer : buffers) {
            if (skip_bytes >= buffer.iov_len) {
                skip_bytes -= buffer.iov_len;
                continue;
            }
            pieces_[count_++] = {static_cast<char*>(buffer.iov_base) + skip_bytes, buffer.iov_len - skip_bytes};
            skip_bytes = 0;
            if (count_ == pieces_.size()) break;
        }
    }
    [[nodiscard]] const iovec* data() const noexcept { return pieces_.data(); }
    [[nodiscard]] int count() const noexcept { return static_cast<int>(count_); }
    [[nodiscard]] std::span<const iovec> span() const noexcept { return std::span{pieces_}.first(count_); }

 private:
    std::array<iovec, max_pieces> pieces_;
    std::size_t count_ = 0;
};

/// What lies beyond the end of a file that is shorter than its disk reads as zeros.
void zero_rest(std::span<const iovec> buffers, std::uint64_t from_bytes) noexcept {
    for (const iovec& buffer : buffers) {
        const std::uint64_t skip = std::min<std::uint64_t>(from_bytes, buffer.iov_len);
        std::memset(static_cast<char*>(buffer.iov_base) + skip, 0, buffer.iov_len - skip);
        from_bytes -= skip;
    }
}

}  // namespace

RawFile::RawFile(const std::filesystem::path& path, const RawOptions& options) {
    geometry_.logical_block_bytes = options.logical_block_bytes;
    geometry_.physical_block_bytes = std::max(options.physical_block_bytes, options.logical_block_bytes);
    geometry_.read_only = options.read_only;
    try {
        open(path, options);
        lock(path);
        measure(path, options);
    } catch (...) {
        if (fd_ >= 0) ::close(fd_);
        throw;
    }
    probe();
    geometry_.can_discard = geometry_.can_discard && options.thin;
}

RawFile::~RawFile() { ::close(fd_); }

void RawFile::open(const std::filesystem::path& path, const RawOptions& options) {
    const int create = options.create_bytes != 0 ? O_CREAT : 0;
    fd_ = ::open(path.c_str(), (options.read_only && create == 0 ? O_RDONLY : O_RDWR) | create | O_CLOEXEC, 0640);
    if (fd_ < 0) {
        if (errno == EISDIR) refuse_file(path, "is a directory", "name a file");
        refuse_file(path, std::strerror(errno),
                    errno == ENOENT ? "make the file, or give it a size to have it made" : "check owner and mode of the file");
    }
}

// Only after the lock: a file that somebody uses is not grown either.
void RawFile::measure(const std::filesystem::path& path, const RawOptions& options) {
    struct stat status{};
    if (::fstat(fd_, &status) != 0) refuse_file(path, std::strerror(errno), "check the file system");
    auto size = static_cast<std::uint64_t>(status.st_size);
    if (S_ISBLK(status.st_mode)) {
        if (::ioctl(fd_, BLKGETSIZE64, &size) != 0) refuse_file(path, std::strerror(errno), "check the device");
    } else if (S_ISDIR(status.st_mode)) {
        refuse_file(path, "is a directory", "name a file");
    } else if (!S_ISREG(status.st_mode)) {
        refuse_file(path, "is neither a file nor a block device", "name a raw disk file");
    } else if (size < options.create_bytes) {
        if (::ftruncate(fd_, static_cast<off_t>(options.create_bytes)) != 0)
            refuse_file(path, std::strerror(errno), "check the space and limits of the file system");
        size = options.create_bytes;
    }
    geometry_.size_bytes = options.growable ? size : size / geometry_.logical_block_bytes * geometry_.logical_block_bytes;
    if (geometry_.size_bytes == 0 && !options.growable) refuse_file(path, "is empty", "give it a size, or copy a disk image into it");
}

// QEMU's protocol (block/file-posix.c there), so that its tools and we know of each other: they may read an image that we only read, and
// nothing else. Byte 100 + p is held by who does p, byte 200 + p by who bears nobody that does. Locks of the open file description go with
// the descriptor, so a killed server leaves none behind.
void RawFile::lock(const std::filesystem::path& path) const {
    constexpr off_t reads = 0, writes = 1, resizes = 3, does = 100, bears_no = 200;
    const auto set = [this](off_t byte, int type) {
        struct flock wanted{};
        wanted.l_type = static_cast<short>(type);
        wanted.l_whence = SEEK_SET;
        wanted.l_start = byte;
        wanted.l_len = 1;
        return ::fcntl(fd_, F_OFD_SETLK, &wanted) == 0;
    };
    const auto somebody_holds = [this](off_t byte) {
        struct flock asked{};
        asked.l_type = F_WRLCK;
        asked.l_whence = SEEK_SET;
        asked.l_start = byte;
        asked.l_len = 1;
        return ::fcntl(fd_, F_OFD_GETLK, &asked) == 0 && asked.l_type != F_UNLCK;
    };
    std::vector<off_t> ours{does + reads, bears_no + writes, bears_no + resizes};
    std::vector<off_t> of_others{bears_no + reads, does + writes, does + resizes};
    if (!geometry_.read_only) {
        ours.insert(ours.end(), {does + writes, does + resizes});
        of_others.insert(of_others.end(), {bears_no + writes, bears_no + resizes});
    }
    const auto is_free = [&] {
        // File systems without locks exist (some network ones); two servers on one file are then the administrator's to avoid.
        const bool taken =
            std::ranges::all_of(ours, [&](off_t byte) { return set(byte, F_RDLCK) || (errno != EAGAIN && errno != EACCES); });
        if (taken && std::ranges::none_of(of_others, somebody_holds)) return true;
        for (const off_t byte : ours) (void)set(byte, F_UNLCK);
        return false;
    };
    if (lock_patiently(is_free)) return;
    refuse_file(path, "is in use by another program or another disk",
                "a disk that is written has one owner; stop the other one, or declare both read-only");
}

void RawFile::probe() noexcept {
    struct statfs fs{};
    const bool in_memory = ::fstatfs(fd_, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
    std::byte byte{};
    const iovec piece{&byte, 1};
    const bool nowait = ::preadv2(fd_, &piece, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
    inline_reads_ = in_memory ? Inline::always : nowait ? Inline::nowait : Inline::never;
    // Whether writes may try shows at the first one: ext4 accepts an empty write and refuses every other.
    if (!geometry_.read_only) inline_writes_.store(in_memory ? Inline::always : Inline::nowait, std::memory_order_relaxed);
    // Beyond the end with KEEP_SIZE nothing changes, but the file system says whether it could.
    const auto end = static_cast<off_t>(geometry_.size_bytes + 4095) & ~off_t{4095};
    geometry_.can_discard = !geometry_.read_only && ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 4096) == 0;
}

bool RawFile::perform_without_waiting(IoRequest& request) noexcept {
    if (request.kind == IoKind::read) return read_without_waiting(request);
    return request.kind == IoKind::write && write_without_waiting(request);
}

bool RawFile::read_without_waiting(IoRequest& request) noexcept {
    if (inline_reads_ == Inline::always) {
        perform(request);
        return true;
    }
    if (inline_reads_ == Inline::never || request.buffers.size() > max_pieces) return false;
    const ssize_t n = ::preadv2(fd_, request.buffers.data(), static_cast<int>(request.buffers.size()),
                                static_cast<off_t>(request.offset_bytes), RWF_NOWAIT);
    if (n < 0 || static_cast<std::uint64_t>(n) != request.length_bytes) return false;
    request.error.clear();
    return true;
}

// A plain buffered write may sleep for long (journal, dirty limits), and an I/O thread serves others too: only memory file systems write
// inline, and those that can promise not to wait (XFS and Btrfs; ext4 refuses with EOPNOTSUPP). A durable write always waits.
bool RawFile::write_without_waiting(IoRequest& request) noexcept {
    const Inline may = inline_writes_.load(std::memory_order_relaxed);
    if (may == Inline::always) {
        perform(request);
        return true;
    }
    if (may == Inline::never || request.force_unit_access || request.buffers.size() > max_pieces) return false;
    const ssize_t n = ::pwritev2(fd_, request.buffers.data(), static_cast<int>(request.buffers.size()),
                                 static_cast<off_t>(request.offset_bytes), RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP) inline_writes_.store(Inline::never, std::memory_order_relaxed);
    if (n < 0 || static_cast<std::uint64_t>(n) != request.length_bytes) return false;  // a part is written again, with the same bytes
    request.error.clear();
    return true;
}

void RawFile::perform(IoRequest& request) noexcept {
    int error = 0;
    switch (request.kind) {
        case IoKind::read:
        case IoKind::write: error = transfer(request); break;
        case IoKind::write_zeroes: error = zero(request.offset_bytes, request.length_bytes, request.may_discard); break;
        case IoKind::discard: error = zero(request.offset_bytes, request.length_bytes, true); break;
        case IoKind::allocation: error = find_extents(request); break;
        case IoKind::flush: error = sync(); break;
    }
    if (error == 0 && request.force_unit_access && request.kind != IoKind::write && request.kind != IoKind::read) error = sync();
    request.error.assign(error, boost::system::system_category());
}

int RawFile::transfer(const IoRequest& request) noexcept {
    const bool write = request.kind == IoKind::write;
    if (write && geometry_.read_only) return EROFS;
    const int flags = write && request.force_unit_access ? RWF_DSYNC : 0;
    std::uint64_t done = 0;
    while (done < request.length_bytes) {
        const Pieces pieces{request.buffers, done};
        const auto at = static_cast<off_t>(request.offset_bytes + done);
        const ssize_t n =
            write ? ::pwritev2(fd_, pieces.data(), pieces.count(), at, flags) : ::preadv2(fd_, pieces.data(), pieces.count(), at, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return flags != 0 ? why_durable_write_failed(pieces.span(), request.offset_bytes + done, errno) : errno;
        if (n == 0) {
            if (write) return EIO;
            zero_rest(request.buffers, done);
            break;
        }
        done += static_cast<std::uint64_t>(n);
    }
    return 0;
}

// The write, or the sync after it? A write that found no space harms nothing else. A failed sync may have used up the kernel's only report
// that other writes are lost, so flushes are not believed from then on.
int RawFile::why_durable_write_failed(std::span<const iovec> pieces, std::uint64_t offset_bytes, int error) noexcept {
    if (::pwritev2(fd_, pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(offset_bytes), 0) < 0) return errno;
    sync_failed_.store(true, std::memory_order_relaxed);
    return error;
}

int RawFile::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool deallocate) noexcept {
    if (geometry_.read_only) return EROFS;
    const auto at = static_cast<off_t>(offset_bytes);
    const auto length = static_cast<off_t>(length_bytes);
    const int mode = deallocate && geometry_.can_discard ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    int result = 0;
    do {
        result = ::fallocate(fd_, mode | FALLOC_FL_KEEP_SIZE, at, length);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
    static const std::array<char, zero_chunk_bytes> zeros{};
    for (std::uint64_t done = 0; done < length_bytes;) {
        const std::size_t chunk = std::min<std::uint64_t>(zeros.size(), length_bytes - done);
        const ssize_t n = ::pwrite(fd_, zeros.data(), chunk, at + static_cast<off_t>(done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? errno : EIO;
        done += static_cast<std::uint64_t>(n);
    }
    return 0;
}

// SEEK_DATA and SEEK_HOLE; where the file system knows nothing of holes, everything is data.
int RawFile::find_extents(IoRequest& request) const noexcept {
    request.extent_count = 0;
    const std::uint64_t end = request.offset_bytes + request.length_bytes;
    for (std::uint64_t at = request.offset_bytes; at < end && request.extent_count < request.extents.size();) {
        const off_t data = ::lseek(fd_, static_cast<off_t>(at), SEEK_DATA);
        if (data < 0 && errno != ENXIO && errno != EINVAL) return errno;
        const bool allocated = data >= 0 ? static_cast<std::uint64_t>(data) == at : errno == EINVAL;
        std::uint64_t until = end;
        if (data >= 0 && !allocated) until = static_cast<std::uint64_t>(data);
        if (data >= 0 && allocated) {
            const off_t hole = ::lseek(fd_, data, SEEK_HOLE);
            if (hole >= 0) until = static_cast<std::uint64_t>(hole);
        }
        until = std::min(until, end);
        request.extents[request.extent_count++] = {at, until - at, allocated};
        at = until;
    }
    return 0;
}

int RawFile::sync() noexcept {
    if (geometry_.read_only) return 0;
    const std::lock_guard lock{syncing_};
    if (sync_failed_.load(std::memory_order_relaxed)) return EIO;
    if (::fdatasync(fd_) == 0) return sync_failed_.load(std::memory_order_relaxed) ? EIO : 0;
    const int error = errno;
    sync_failed_.store(true, std::memory_order_relaxed);
    return error;
}

}  // namespace diskless::storage
