#include "tests/tools/qcow2_exercise/workload.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "storage/blocking.hpp"

namespace diskless::exercise {

using namespace storage;

namespace {

constexpr std::uint64_t sector_bytes = 512;
constexpr std::uint64_t chunk_bytes = std::uint64_t{1} << 20;

/// What an operation writes into the sector at `offset`.
void stamp_sector(MutableByteSpan sector, std::uint64_t stamp, std::uint64_t offset) {
    for (std::size_t at = 0; at < sector.size(); at += 8) {
        const std::uint64_t word = stamp == 0 ? 0 : stamp * 0x9e3779b97f4a7c15 ^ (offset + at);
        std::memcpy(sector.data() + at, &word, sizeof word);
    }
}

std::vector<std::byte> stamped(std::uint64_t stamp, std::uint64_t offset, std::uint64_t bytes) {
    std::vector<std::byte> data(bytes);
    for (std::uint64_t at = 0; at < bytes; at += sector_bytes)
        stamp_sector(MutableByteSpan{data}.subspan(at, sector_bytes), stamp, offset + at);
    return data;
}

std::uint64_t first_difference(ByteSpan a, ByteSpan b) { return static_cast<std::uint64_t>(std::ranges::mismatch(a, b).in1 - a.begin()); }

}  // namespace

SharedFile::SharedFile(const std::filesystem::path& path, std::uint64_t bytes) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    struct stat status{};
    was_there_ = fd >= 0 && ::fstat(fd, &status) == 0 && status.st_size != 0;
    void* const map = fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0
                          ? MAP_FAILED
                          : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (map == MAP_FAILED) throw std::runtime_error{fmt::format("{}: {}", path.string(), std::strerror(error))};
    bytes_ = {static_cast<std::byte*>(map), bytes};
}

SharedFile::~SharedFile() { ::munmap(bytes_.data(), bytes_.size()); }

Workload::Workload(BlockDevice& disk, const std::filesystem::path& expected)
    : disk_{disk},
      expected_{expected, disk.geometry().size_bytes},
      pending_{expected.string() + ".pending", max_threads * sizeof(Operation)} {
    if (expected_.was_there()) return;
    for (std::uint64_t at = 0; at < expected_.bytes().size(); at += chunk_bytes) {
        const auto chunk = expected_.bytes().subspan(at, std::min<std::uint64_t>(chunk_bytes, expected_.bytes().size() - at));
        if (const auto error = read_now(disk_, at, chunk)) throw std::runtime_error{error.message()};
    }
}

void Workload::give_up(const std::string& why) {
    const std::lock_guard lock{mutex_};
    if (trouble_.empty()) trouble_ = why;
}

// An operation that meets none under way. `place` is written last: only then is it one itself.
Workload::Operation Workload::choose(const Plan& plan, std::mt19937_64& random, Operation& place) {
    const std::span all{reinterpret_cast<const Operation*>(pending_.bytes().data()), max_threads};
    const std::uint64_t sectors = disk_.geometry().size_bytes / sector_bytes;
    const std::uint64_t area = std::min(sectors, (plan.area_bytes == 0 ? sectors / 8 * sector_bytes : plan.area_bytes) / sector_bytes);
    while (true) {
        const auto roll = random() % 100;
        const IoKind kind = roll < 25   ? IoKind::read
                            : roll < 75 ? IoKind::write
                            : roll < 85 ? IoKind::discard
                            : roll < 96 ? IoKind::write_zeroes
                                        : IoKind::flush;
        Operation chosen{.kind = static_cast<std::uint64_t>(kind), .under_way = 1};
        if (kind != IoKind::flush) {
            std::uint64_t first = random() % (random() % 2 == 0 ? std::max<std::uint64_t>(area, 1) : sectors);
            if (random() % 2 == 0) first &= ~std::uint64_t{7};
            const std::uint64_t most = (random() % 8 == 0 ? plan.max_bytes : std::uint64_t{16} << 10) / sector_bytes;
            chosen.offset_bytes = first * sector_bytes;
            chosen.length_bytes = std::min(1 + random() % most, sectors - first) * sector_bytes;
        }
        if (kind == IoKind::write) chosen.stamp = random() | 1;
        const std::lock_guard lock{mutex_};
        const bool meets = std::ranges::any_of(all, [&](const Operation& other) {
            return other.under_way != 0 && other.offset_bytes < chosen.offset_bytes + chosen.length_bytes &&
                   chosen.offset_bytes < other.offset_bytes + other.length_bytes;
        });
        if (meets) continue;
        place = chosen;
        return chosen;
    }
}

void Workload::perform(const Operation& operation, bool may_fail) {
    BlockingRequest request;
    request.kind = static_cast<IoKind>(operation.kind);
    request.offset_bytes = operation.offset_bytes;
    request.length_bytes = operation.length_bytes;
    request.force_unit_access = operation.stamp % 32 == 5;
    request.may_discard = operation.offset_bytes / sector_bytes % 2 == 0;
    std::vector<std::byte> data(request.kind == IoKind::read ? operation.length_bytes : 0);
    if (request.kind == IoKind::write) data = stamped(operation.stamp, operation.offset_bytes, operation.length_bytes);
    const std::size_t half = data.size() / sector_bytes / 2 * sector_bytes;
    const std::array<iovec, 2> pieces{iovec{data.data(), half}, iovec{data.data() + half, data.size() - half}};
    if (!data.empty()) request.buffers = pieces;
    const auto error = request.run(disk_);
    const MutableByteSpan expected = expected_.bytes().subspan(operation.offset_bytes, operation.length_bytes);
    if (error) {
        if (!may_fail || error.value() != ENOSPC)
            return give_up(
                fmt::format("operation {} at {} +{}: {}", operation.kind, operation.offset_bytes, operation.length_bytes, error.message()));
        // Each sector is old or new now: whoever has it reads which.
        if (request.kind != IoKind::read && request.kind != IoKind::flush && read_now(disk_, operation.offset_bytes, expected))
            give_up("a read fails too");
        const std::lock_guard lock{mutex_};
        ++failures_;
        return;
    }
    if (request.kind == IoKind::read && !std::ranges::equal(data, expected))
        return give_up(fmt::format("byte {} is not what was written", operation.offset_bytes + first_difference(data, expected)));
    if (request.kind == IoKind::write) std::ranges::copy(data, expected.begin());
    if (request.kind == IoKind::write_zeroes || request.kind == IoKind::discard) std::ranges::fill(expected, std::byte{0});
}

void Workload::work(const Plan& plan, unsigned thread) {
    std::mt19937_64 random{plan.seed * 1000 + thread};
    Operation& place = reinterpret_cast<Operation*>(pending_.bytes().data())[thread];
    while (true) {
        {
            const std::lock_guard lock{mutex_};
            if (started_ == plan.operations || !trouble_.empty()) return;
            ++started_;
        }
        const Operation operation = choose(plan, random, place);
        perform(operation, plan.may_fail);
        const std::lock_guard lock{mutex_};
        place.under_way = 0;
    }
}

void Workload::run(const Plan& plan) {
    std::ranges::fill(pending_.bytes(), std::byte{0});
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < std::min<std::size_t>(plan.threads, max_threads); ++i) threads.emplace_back([&, i] { work(plan, i); });
    }
    if (!trouble_.empty()) throw std::runtime_error{trouble_};
}

void Workload::verify() {
    const std::span all{reinterpret_cast<Operation*>(pending_.bytes().data()), max_threads};
    std::vector<std::byte> data;
    for (std::uint64_t at = 0; at < expected_.bytes().size(); at += data.size()) {
        data.resize(std::min<std::uint64_t>(chunk_bytes, expected_.bytes().size() - at));
        if (const auto error = read_now(disk_, at, data)) throw std::runtime_error{fmt::format("reading at {}: {}", at, error.message())};
        const MutableByteSpan expected = expected_.bytes().subspan(at, data.size());
        for (std::uint64_t in = 0; in < data.size(); in += sector_bytes) {
            const std::uint64_t offset = at + in, length = std::min<std::uint64_t>(sector_bytes, data.size() - in);
            const ByteSpan found = ByteSpan{data}.subspan(in, length);
            if (std::ranges::equal(found, expected.subspan(in, length))) continue;
            std::vector<std::byte> other(length);
            const bool may_be = std::ranges::any_of(all, [&](const Operation& operation) {
                const auto kind = static_cast<IoKind>(operation.kind);
                if (operation.under_way == 0 || kind == IoKind::read || kind == IoKind::flush || offset < operation.offset_bytes ||
                    offset >= operation.offset_bytes + operation.length_bytes)
                    return false;
                stamp_sector(other, operation.stamp, offset);
                return std::ranges::equal(found, other);
            });
            if (!may_be) throw std::runtime_error{fmt::format("sector {} is not what was acknowledged", offset / sector_bytes)};
            std::ranges::copy(found, expected.begin() + static_cast<std::ptrdiff_t>(in));
        }
    }
    for (Operation& operation : all) operation.under_way = 0;
}

}  // namespace diskless::exercise
