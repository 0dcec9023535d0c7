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
#include <cstddef>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace diskless::storage::qcow2 {
namespace {

constexpr std::uint64_t journal_magic = 0x32304c4a5744;  // "DWJL02"
constexpr std::uint64_t records_at_once = 2048;          // by which the file grows
constexpr std::size_t boot_id_bytes = 36;

constexpr std::size_t min_latest = 256;
constexpr std::uint64_t latest_factor = 0x9e3779b97f4a7c15;  // spreads neighbours

using BootId = std::array<char, boot_id_bytes>;

BootId this_boot() {
    BootId id{};
    std::ifstream{"/proc/sys/kernel/random/boot_id"}.read(id.data(), id.size());
    return id;
}

}  // namespace

struct Journal::File {
    struct Half {
        std::uint64_t generation{};  ///< the higher one is the newer one
        std::uint64_t count{};
    };
    std::uint64_t magic{};
    BootId boot{};
    std::uint32_t closed{};
    std::array<Half, 2> halves{};
    alignas(64) std::array<std::array<JournalRecord, max_records>, 2> records{};
};

Journal::Journal(const std::filesystem::path& path, std::uint64_t cluster_bytes) : path_{path.string()}, cluster_bytes_{cluster_bytes} {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    const auto fail = [&](int error) {
        if (file_ != nullptr) ::munmap(file_, sizeof(File));
        if (fd_ >= 0) ::close(fd_);
        return std::runtime_error{fmt::format("journal {}: {}", path_, std::strerror(error))};
    };
    if (fd_ < 0) throw fail(errno);
    struct stat status{};
    // A file of another size is nobody's we know.
    if (::fstat(fd_, &status) != 0 || (static_cast<std::size_t>(status.st_size) != sizeof(File) && ::ftruncate(fd_, 0) != 0) ||
        ::ftruncate(fd_, sizeof(File)) != 0)
        throw fail(errno);
    void* const map = ::mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (map == MAP_FAILED) throw fail(errno);
    file_ = static_cast<File*>(map);
    if (const int full = ::posix_fallocate(fd_, 0, static_cast<off_t>(offsetof(File, records))); full != 0) throw fail(full);
    if (!grow(1)) throw fail(ENOSPC);
    is_new_ = file_->magic != journal_magic;
    was_closed_ = is_new_ || file_->closed != 0;
}

Journal::~Journal() {
    ::munmap(file_, sizeof(File));
    ::close(fd_);
}

// What is stored to has its place on the disk: a store into shared memory cannot fail politely.
bool Journal::grow(std::uint64_t records) noexcept {
    if (records > max_records) return false;
    const std::uint64_t wanted = std::min((records + records_at_once - 1) / records_at_once * records_at_once, max_records);
    const std::uint64_t from = offsetof(File, records) + (half_ * max_records + room_[half_]) * sizeof(JournalRecord);
    if (::posix_fallocate(fd_, static_cast<off_t>(from), static_cast<off_t>((wanted - room_[half_]) * sizeof(JournalRecord))) != 0)
        return false;
    room_[half_] = wanted;
    return true;
}

std::vector<JournalRecord> Journal::left() const {
    std::vector<JournalRecord> records;
    if (was_closed_ || file_->boot != this_boot()) return records;
    const bool second_is_older = file_->halves[1].generation < file_->halves[0].generation;
    for (const unsigned half : {second_is_older ? 1u : 0u, second_is_older ? 0u : 1u}) {
        const auto count = std::min(file_->halves[half].count, max_records);
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
    latest_ = {};
    old_needed_ = false;
}

std::uint32_t& Journal::latest(std::uint64_t guest) noexcept {
    return latest_[guest / cluster_bytes_ * latest_factor >> 32 & (latest_.size() - 1)];
}

void Journal::make_latest_larger() {
    latest_.assign(std::max(min_latest, latest_.size() * 2), 0);
    for (std::uint32_t i = 0; i < used_; ++i) {
        const JournalRecord& record = file_->records[half_][i];
        for (std::uint64_t cluster = 0; cluster < record.clusters; ++cluster) latest(record.guest + cluster * cluster_bytes_) = i + 1;
    }
}

void Journal::append(std::uint64_t guest, const Entry& entry) {
    auto& records = file_->records[half_];
    if (used_ * 2 >= latest_.size()) make_latest_larger();
    std::uint32_t& known = latest(guest);
    if (known != 0) {
        // More of a cluster that has kept its place: one store says so, whole or not at all.
        JournalRecord& record = records[known - 1];
        if (record.guest == guest && record.clusters == 1 && record.entry.word == entry.word) {
            std::atomic_ref{record.entry.bitmap}.store(entry.bitmap, std::memory_order_release);
            return;
        }
    }
    if (used_ != 0 && entry.host() == 0 && !entry.is_compressed()) {
        JournalRecord& last = records[used_ - 1];
        if (last.entry == entry && last.guest + last.clusters * cluster_bytes_ == guest) {
            std::atomic_ref{last.clusters}.store(last.clusters + 1, std::memory_order_release);
            known = static_cast<std::uint32_t>(used_);
            return;
        }
    }
    records[used_++] = {.guest = guest, .entry = entry};
    std::atomic_ref{file_->halves[half_].count}.store(used_, std::memory_order_release);
    known = static_cast<std::uint32_t>(used_);
}

void Journal::flip() noexcept {
    if (old_needed_) return;
    old_needed_ = true;
    const std::uint64_t generation = file_->halves[half_].generation;
    half_ ^= 1;
    used_ = 0;
    latest_ = {};
    file_->halves[half_].count = 0;
    std::atomic_ref{file_->halves[half_].generation}.store(generation + 1, std::memory_order_release);
}

void Journal::clear_old() noexcept {
    std::atomic_ref{file_->halves[half_ ^ 1].count}.store(0, std::memory_order_release);
    old_needed_ = false;
}

void Journal::close() noexcept { std::atomic_ref{file_->closed}.store(1, std::memory_order_release); }

}  // namespace diskless::storage::qcow2
