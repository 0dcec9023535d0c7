#include "disklessd/importing/import.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <vector>

#include "common/text.hpp"
#include "disklessd/importing/disk_file.hpp"
#include "disklessd/importing/error.hpp"
#include "disklessd/importing/format.hpp"
#include "disklessd/importing/qemu_img.hpp"
#include "disklessd/importing/unpack.hpp"

namespace diskless::importing {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t copy_bytes = 1 << 20;
constexpr std::uint64_t room_check_bytes = std::uint64_t{32} << 20;
constexpr std::uint64_t block_bytes = 512;  // of stat's st_blocks

std::string own_user() {
    const passwd* entry = ::getpwuid(::geteuid());
    return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

class OpenSource {
 public:
    explicit OpenSource(const fs::path& path) : file_{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)} {
        if (file_ < 0) fail(errno);
        if (::fstat(file_, &status_) != 0 || !(S_ISREG(status_.st_mode) || S_ISBLK(status_.st_mode))) {
            ::close(file_);
            throw ImportError{"is neither a file nor a block device; name a disk image"};
        }
    }
    ~OpenSource() { ::close(file_); }
    OpenSource(const OpenSource&) = delete;
    OpenSource& operator=(const OpenSource&) = delete;

    [[nodiscard]] int descriptor() const noexcept { return file_; }
    [[nodiscard]] std::uint64_t size_bytes() const {
        const off_t end = ::lseek(file_, 0, SEEK_END);
        return end < 0 ? 0 : static_cast<std::uint64_t>(end);
    }
    /// What a copy of it takes: no more than its blocks, for holes stay holes.
    [[nodiscard]] std::uint64_t stored_bytes() const {
        return S_ISBLK(status_.st_mode) ? 0 : static_cast<std::uint64_t>(status_.st_blocks) * block_bytes;
    }
    /// As it is now: another mark, another content.
    [[nodiscard]] std::string mark() const {
        struct stat now{};
        ::fstat(file_, &now);
        return fmt::format("{}:{}:{}:{}.{}", now.st_dev, now.st_ino, size_bytes(), now.st_mtim.tv_sec, now.st_mtim.tv_nsec);
    }

 private:
    [[noreturn]] static void fail(int reason) {
        if (reason == EACCES)
            throw ImportError{
                fmt::format("user '{0}', as whom disklessd runs, may not read it; put it where that user can, or: setfacl -m "
                            "u:{0}:r FILE (and u:{0}:x on its folders)",
                            own_user())};
        if (reason == ENOENT) throw ImportError{"there is no such file; check its name"};
        throw ImportError{fmt::format("cannot be opened: {}; check the path", std::strerror(reason))};
    }

    int file_;
    struct stat status_{};
};

/// The file system that is filled.
class Room {
 public:
    Room(fs::path folder, const Limits& limits) : folder_{std::move(folder)}, reserve_{limits.reserve_bytes} {}

    [[nodiscard]] std::uint64_t free_bytes() const {
        std::error_code error;
        const auto available = fs::space(folder_, error).available;
        if (error) return std::numeric_limits<std::uint64_t>::max();
        return available > reserve_ ? available - reserve_ : 0;
    }
    void require(std::uint64_t bytes) const {
        if (const std::uint64_t free = free_bytes(); bytes > free) refuse(bytes, free);
    }
    [[noreturn]] void refuse(std::uint64_t bytes, std::uint64_t free) const {
        throw ImportError{
            fmt::format("it takes more than the {} MiB that are free in {} ({} MiB at least); make room, or delete versions: "
                        "diskless image delete NAME@N",
                        free >> 20, folder_.native(), (bytes >> 20) + 1)};
    }

 private:
    fs::path folder_;
    std::uint64_t reserve_;
};

fs::path unpacked_name(const fs::path& working) { return working.native() + ".unpacked"; }

class Making {
 public:
    Making(const Order& order, const Limits& limits, Progress& progress, const std::stop_token& stop,
           const std::function<void(const SafePoint&)>& keep)
        : order_{order},
          limits_{limits},
          progress_{progress},
          stop_{stop},
          keep_{keep},
          source_{order.source},
          room_{order.working.parent_path(), limits} {}

    Made run() {
        Made made = make();
        if (source_.mark() != mark_) throw ImportError{changed};
        return made;
    }

 private:
    static constexpr const char* changed = "changed while it was read; leave it alone and import it again";

    Made make() {
        if (source_.size_bytes() == 0) throw ImportError{"is empty; name a disk image"};
        const std::vector<std::byte> head = head_of(Packing::none);
        const Packing packing = value(packing_of(order_.source.filename().native(), head));
        const std::vector<std::byte> inside = packing == Packing::none ? head : head_of(packing);
        const Format format = value(format_of(order_.source.filename().native(), inside, order_.format));
        if (const std::string refusal = refusal_of(format, inside); !refusal.empty()) throw ImportError{refusal};
        progress_.reset();
        if (format == Format::raw || format == Format::iso) return take_as_it_is(packing);
        if (packing == Packing::none) return convert(order_.source, format);
        const fs::path unpacked = unpacked_name(order_.working);
        {
            DiskFile file{unpacked};
            (void)file.resume(0, {});
            copy(file, packing, nullptr);
            file.sync();
        }
        Made made = convert(unpacked, format);
        fs::remove(unpacked);
        return made;
    }

    template<class T>
    static T value(std::expected<T, std::string> expected) {
        if (!expected) throw ImportError{expected.error()};
        return *expected;
    }

    std::vector<std::byte> head_of(Packing packing) const {
        std::vector<std::byte> head(head_bytes);
        head.resize(open_source(source_.descriptor(), packing)->read(head));
        return head;
    }

    Made take_as_it_is(Packing packing) {
        DiskFile disk{order_.working};
        if (packing == Packing::none && order_.reached.bytes == 0 && disk.clone(source_.descriptor())) {
            digest_all(disk, source_.size_bytes());
        } else {
            if (packing == Packing::none) room_.require(source_.stored_bytes());
            copy(disk, packing, &order_.reached);
        }
        return finished(disk);
    }

    Made convert(const fs::path& file, Format format) {
        const std::uint64_t size_bytes = inspect_image(file, format, stop_);
        fs::remove(order_.working);
        progress_.begin("converting", size_bytes);
        convert_image(file, format, order_.working, stop_, [&](double share) {
            progress_.at(static_cast<std::uint64_t>(share * static_cast<double>(size_bytes)));
            room_.require(1);
        });
        DiskFile disk{order_.working};
        digest_all(disk, size_bytes);
        return finished(disk);
    }

    void digest_all(DiskFile& disk, std::uint64_t size_bytes) {
        progress_.begin("reading", size_bytes);
        if (!disk.resume(size_bytes, seen())) throw ImportError{changed};
    }

    /// `reached`: where an interrupted attempt got to; nullptr: this one cannot be gone on with.
    void copy(DiskFile& disk, Packing packing, const SafePoint* reached) {
        const std::uint64_t free = room_.free_bytes();
        const auto source = open_source(source_.descriptor(), packing);
        progress_.begin(packing == Packing::none ? "copying" : "unpacking", source_.size_bytes());
        if (reached != nullptr && reached->bytes > 0 && reached->source_mark == mark_ && disk.resume(reached->bytes, seen())) {
            source->skip(reached->bytes);
        } else {
            (void)disk.resume(0, {});
        }
        const std::uint64_t limit = packing == Packing::none ? std::numeric_limits<std::uint64_t>::max() : free + disk.size_bytes();
        std::uint64_t next_check = 0, next_safe_point = disk.size_bytes() + limits_.safe_point_bytes;
        std::vector<std::byte> buffer(copy_bytes);
        while (const std::size_t n = source->read(buffer)) {
            stop_here(stop_);
            if (disk.size_bytes() + n > limit) room_.refuse(disk.size_bytes() + n, free);
            disk.append(ByteSpan{buffer}.first(n));
            progress_.at(source->position());
            if (disk.size_bytes() >= next_check) {
                room_.require(1);
                next_check = disk.size_bytes() + room_check_bytes;
            }
            if (disk.size_bytes() >= next_safe_point) {
                disk.sync();
                if (reached != nullptr) keep_({disk.size_bytes(), mark_});
                next_safe_point = disk.size_bytes() + limits_.safe_point_bytes;
            }
        }
    }

    static Made finished(DiskFile& disk) {
        if (disk.size_bytes() == 0) throw ImportError{"is empty; name a disk image"};
        Made made;
        if (const std::uint64_t padding = disk.finish(); padding > 0)
            made.warning = fmt::format("its size is no whole number of 512-byte sectors: {} zero bytes were added at its end", padding);
        made.size_bytes = disk.size_bytes();
        made.digest = disk.digest();
        return made;
    }

    DiskFile::Seen seen() {
        return [this](std::uint64_t bytes) {
            stop_here(stop_);
            progress_.at(bytes);
        };
    }

    const Order& order_;
    const Limits& limits_;
    Progress& progress_;
    const std::stop_token& stop_;
    const std::function<void(const SafePoint&)>& keep_;
    OpenSource source_;
    std::string mark_ = source_.mark();
    Room room_;
};

}  // namespace

Made make_disk(const Order& order, const Limits& limits, Progress& progress, const std::stop_token& stop,
               const std::function<void(const SafePoint&)>& keep) {
    return Making{order, limits, progress, stop, keep}.run();
}

void examine_source(const fs::path& source) { const OpenSource opened{source}; }

void discard(const fs::path& working) {
    std::error_code ignored;
    fs::remove(working, ignored);
    fs::remove(unpacked_name(working), ignored);
}

}  // namespace diskless::importing
