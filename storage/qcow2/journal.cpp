#include "storage/qcow2/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace diskless::storage::qcow2 {
namespace {

constexpr std::uint64_t journal_magic = 0x31304c4a5744;  // "DWJL01"
constexpr std::size_t boot_id_bytes = 36;

using BootId = std::array<char, boot_id_bytes>;

BootId this_boot() {
    BootId id{};
    std::ifstream{"/proc/sys/kernel/random/boot_id"}.read(id.data(), id.size());
    return id;
}

}  // namespace

struct Journal::File {
    struct Half {
        std::uint64_t generation;  ///< the higher one is the newer one
        std::uint64_t count;
    };
    std::uint64_t magic;
    BootId boot;
    std::uint32_t closed;
    std::array<Half, 2> halves;
    alignas(64) std::array<std::array<JournalRecord, records_per_half>, 2> records;
};

Journal::Journal(const std::filesystem::path& path, std::uint64_t cluster_bytes) : path_{path.string()}, cluster_bytes_{cluster_bytes} {
    const auto fail = [&](const char* what) -> std::runtime_error {
        return std::runtime_error{fmt::format("journal {}: {}: {}", path_, what, std::strerror(errno))};
    };
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) throw fail("open");
    struct stat status{};
    // All of it has its place on the disk: a store into shared memory cannot fail politely.
    const int full =
        ::fstat(fd, &status) == 0 && static_cast<std::size_t>(status.st_size) == sizeof(File) ? 0 : ::posix_fallocate(fd, 0, sizeof(File));
    if (full != 0) errno = full;
    void* const map = full != 0 ? MAP_FAILED : ::mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int error = errno;
    ::close(fd);
    errno = error;
    if (map == MAP_FAILED) throw fail("room for it");
    file_ = static_cast<File*>(map);
    was_closed_ = file_->magic != journal_magic || file_->closed != 0;
}

Journal::~Journal() { ::munmap(file_, sizeof(File)); }

std::vector<JournalRecord> Journal::left() const {
    std::vector<JournalRecord> records;
    if (was_closed_ || file_->boot != this_boot()) return records;
    const bool second_is_older = file_->halves[1].generation < file_->halves[0].generation;
    for (const unsigned half : {second_is_older ? 1u : 0u, second_is_older ? 0u : 1u}) {
        const auto count = std::min(file_->halves[half].count, records_per_half);
        records.insert(records.end(), file_->records[half].begin(), file_->records[half].begin() + static_cast<std::ptrdiff_t>(count));
    }
    return records;
}

void Journal::begin() noexcept {
    file_->halves = {File::Half{1, 0}, File::Half{0, 0}};
    file_->boot = this_boot();
    file_->closed = 0;
    file_->magic = journal_magic;
    half_ = 0;
    used_ = 0;
    old_needed_ = false;
}

void Journal::append(std::uint64_t guest, const Entry& entry) noexcept {
    auto& records = file_->records[half_];
    if (used_ != 0 && entry.host() == 0 && !entry.is_compressed()) {
        JournalRecord& last = records[used_ - 1];
        if (last.entry == entry && last.guest + last.clusters * cluster_bytes_ == guest) {
            std::atomic_ref{last.clusters}.store(last.clusters + 1, std::memory_order_release);
            return;
        }
    }
    records[used_++] = {.guest = guest, .entry = entry};
    std::atomic_ref{file_->halves[half_].count}.store(used_, std::memory_order_release);
}

void Journal::flip() noexcept {
    if (old_needed_) return;
    old_needed_ = true;
    const std::uint64_t generation = file_->halves[half_].generation;
    half_ ^= 1;
    used_ = 0;
    file_->halves[half_].count = 0;
    std::atomic_ref{file_->halves[half_].generation}.store(generation + 1, std::memory_order_release);
}

void Journal::clear_old() noexcept {
    std::atomic_ref{file_->halves[half_ ^ 1].count}.store(0, std::memory_order_release);
    old_needed_ = false;
}

void Journal::close() noexcept { std::atomic_ref{file_->closed}.store(1, std::memory_order_release); }

}  // namespace diskless::storage::qcow2
