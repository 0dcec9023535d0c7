// The raw device under many requests at once, on both backends; and what a file does that is not as long as its disk.
#include <doctest/doctest.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "storage/fault.hpp"
#include "storage/memory.hpp"
#include "storage/raw.hpp"

using namespace diskless;
using namespace diskless::storage;

namespace {

class TemporaryFolder {
 public:
    explicit TemporaryFolder(const std::filesystem::path& where = std::filesystem::temp_directory_path()) {
        std::string pattern = (where / "diskless-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::filesystem::path path;
};

struct Operation final : IoRequest {
    Operation() : data(4096) {}
    void begin(IoKind what, std::uint64_t offset, bool durable = false) {
        kind = what;
        offset_bytes = offset;
        length_bytes = what == IoKind::flush ? 0 : data.size();
        force_unit_access = durable;
        piece = {data.data(), data.size()};
        buffers = what == IoKind::flush ? std::span<const iovec>{} : std::span<const iovec>{&piece, 1};
    }
    void completed() noexcept override { done->count_down(); }

    std::vector<std::byte> data;
    iovec piece{};
    std::latch* done = nullptr;
};

void run_all(BlockDevice& device, std::vector<Operation>& operations) {
    std::latch done{static_cast<std::ptrdiff_t>(operations.size())};
    for (Operation& operation : operations) operation.done = &done;
    for (Operation& operation : operations) {
        if (device.start(operation) == Started::completed) done.count_down();
    }
    done.wait();
    for (const Operation& operation : operations) REQUIRE_FALSE(operation.error);
}

bool is(const std::vector<std::byte>& bytes, int value) {
    return std::ranges::all_of(bytes, [value](std::byte b) { return b == static_cast<std::byte>(value); });
}

}  // namespace

TEST_CASE("many requests at once from several threads: everybody's data arrives, durable writes and flushes among them") {
    constexpr int threads = 3;
    constexpr int rounds = 8;
    constexpr std::uint64_t share = 1 << 20;
    const TemporaryFolder folder;
    for (const char* backend : {"threads", "auto"}) {
        CAPTURE(backend);
        const auto device =
            open_raw(folder.path / (std::string{backend} + ".img"), {.create_bytes = threads * share}, make_backend(backend, 3));
        std::vector<std::jthread> writers;
        std::array<bool, threads> same{};
        for (int t = 0; t < threads; ++t) {
            writers.emplace_back([&, t] {
                bool all_same = true;
                for (int round = 0; round < rounds; ++round) {
                    std::vector<Operation> operations(32);
                    for (std::size_t i = 0; i < operations.size(); ++i) {
                        std::ranges::fill(operations[i].data, static_cast<std::byte>(round * threads + t + 1));
                        const bool flush = i % 16 == 15;
                        operations[i].begin(flush ? IoKind::flush : IoKind::write, static_cast<std::uint64_t>(t) * share + i * 4096,
                                            i % 8 == 3);
                    }
                    run_all(*device, operations);
                    for (std::size_t i = 0; i < operations.size(); ++i)
                        operations[i].begin(IoKind::read, static_cast<std::uint64_t>(t) * share + i * 4096);
                    run_all(*device, operations);
                    for (std::size_t i = 0; i < operations.size(); ++i)
                        all_same = all_same && is(operations[i].data, i % 16 == 15 ? 0 : round * threads + t + 1);
                }
                same[static_cast<std::size_t>(t)] = all_same;
            });
        }
        writers.clear();
        CHECK(same == std::array<bool, threads>{true, true, true});
    }
}

TEST_CASE("beyond the end of a file that was cut behind the server's back there are zeros") {
    const TemporaryFolder folder;
    for (const char* backend : {"threads", "auto"}) {
        CAPTURE(backend);
        const auto path = folder.path / (std::string{backend} + ".img");
        const auto device = open_raw(path, {.create_bytes = 64 << 10}, make_backend(backend, 1));
        std::vector<Operation> one(1);
        std::ranges::fill(one[0].data, std::byte{5});
        one[0].begin(IoKind::write, 8192);
        run_all(*device, one);
        std::filesystem::resize_file(path, 8192 + 512);
        std::ranges::fill(one[0].data, std::byte{9});
        one[0].begin(IoKind::read, 8192);
        run_all(*device, one);
        CHECK(is({one[0].data.begin(), one[0].data.begin() + 512}, 5));
        CHECK(is({one[0].data.begin() + 512, one[0].data.end()}, 0));
        one[0].begin(IoKind::read, 32768);
        run_all(*device, one);
        CHECK(is(one[0].data, 0));
    }
}

TEST_CASE("what the page cache has is answered inside start(); in memory file systems writes are, too") {
    const TemporaryFolder folder;
    const auto backend = make_backend("threads", 1);
    const auto device = open_raw(folder.path / "disk.img", {.create_bytes = 64 << 10}, backend);
    std::vector<Operation> one(1);
    one[0].begin(IoKind::write, 0);
    run_all(*device, one);
    one[0].begin(IoKind::read, 0);
    CHECK(device->start(one[0]) == Started::completed);
    const std::filesystem::path shm{"/dev/shm"};
    struct statfs fs{};
    constexpr auto tmpfs_magic = 0x01021994;
    if (::statfs(shm.c_str(), &fs) != 0 || fs.f_type != tmpfs_magic || ::access(shm.c_str(), W_OK) != 0) {
        MESSAGE("[SKIPPED] /dev/shm is no writable tmpfs here: inline writes are not tried");
        return;
    }
    const TemporaryFolder memory{shm};
    const auto in_memory = open_raw(memory.path / "disk.img", {.create_bytes = 64 << 10}, backend);
    one[0].begin(IoKind::write, 4096);
    CHECK(in_memory->start(one[0]) == Started::completed);
    one[0].begin(IoKind::read, 4096);
    CHECK(in_memory->start(one[0]) == Started::completed);
}

TEST_CASE("a file that somebody uses is refused before it is grown") {
    const TemporaryFolder folder;
    const auto backend = make_backend("threads", 1);
    const auto path = folder.path / "disk.img";
    const auto device = open_raw(path, {.create_bytes = 1 << 20}, backend);
    CHECK_THROWS_WITH_AS((void)open_raw(path, {.create_bytes = 2 << 20}, backend), doctest::Contains("is in use"), std::runtime_error);
    CHECK(std::filesystem::file_size(path) == 1 << 20);
}

TEST_CASE("a crash does not take back a durable write, whatever unsynced one it replaced") {
    for (std::uint64_t seed = 0; seed < 16; ++seed) {
        CAPTURE(seed);
        const auto below = std::make_shared<MemoryDevice>(Geometry{.size_bytes = 64 << 10});
        CrashDevice device{below, seed};
        std::vector<Operation> one(1);
        std::ranges::fill(one[0].data, std::byte{1});
        one[0].begin(IoKind::write, 4096);
        run_all(device, one);
        std::ranges::fill(one[0].data, std::byte{2});
        one[0].begin(IoKind::write, 4096, true);
        run_all(device, one);
        device.crash();
        CHECK(std::ranges::all_of(below->contents().subspan(4096, 4096), [](std::byte b) { return b == std::byte{2}; }));
    }
}
