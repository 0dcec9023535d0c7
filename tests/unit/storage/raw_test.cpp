// The raw device on both backends against a reference array, and what it says when a file cannot be a disk.
#include "storage/raw.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

using namespace diskless;
using namespace diskless::storage;

namespace {

using boost::system::error_code;

class TemporaryFolder {
 public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "diskless-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::filesystem::path path;
};

/// Starts a request and waits for it on this thread.
class Waiting final : public IoRequest {
 public:
    error_code run(BlockDevice& device) {
        if (device.start(*this) == Started::completed) return error;
        std::unique_lock lock{mutex_};
        done_.wait(lock, [this] { return finished_; });
        return error;
    }
    void completed() noexcept override {
        const std::lock_guard lock{mutex_};
        finished_ = true;
        done_.notify_one();
    }

 private:
    std::mutex mutex_;
    std::condition_variable done_;
    bool finished_ = false;
};

error_code perform(BlockDevice& device, IoKind kind, std::uint64_t offset, MutableByteSpan bytes, bool fua = false,
                   bool may_discard = false) {
    // Two pieces, so that gather and scatter are tried throughout.
    const std::size_t half = bytes.size() / 2;
    const std::array<iovec, 2> pieces{{{bytes.data(), half}, {bytes.data() + half, bytes.size() - half}}};
    Waiting request;
    request.kind = kind;
    request.offset_bytes = offset;
    request.length_bytes = bytes.size();
    request.force_unit_access = fua;
    request.may_discard = may_discard;
    if (kind == IoKind::read || kind == IoKind::write) request.buffers = pieces;
    return request.run(device);
}

void fill(std::vector<std::byte>& bytes, std::mt19937_64& random) {
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
}

void against_a_reference(BlockDevice& device, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    CAPTURE(seed);
    const std::uint64_t size = device.geometry().size_bytes;
    std::vector<std::byte> reference(size);
    for (int i = 0; i < 400; ++i) {
        const std::uint64_t length = (1 + random() % 64) * 512;
        const std::uint64_t offset = random() % ((size - length) / 512 + 1) * 512;
        std::vector<std::byte> bytes(length);
        const auto at = reference.begin() + static_cast<std::ptrdiff_t>(offset);
        switch (random() % 6) {
            case 0:
            case 1:
                fill(bytes, random);
                REQUIRE_FALSE(perform(device, IoKind::write, offset, bytes, random() % 4 == 0));
                std::ranges::copy(bytes, at);
                break;
            case 2:
                REQUIRE_FALSE(perform(device, IoKind::discard, offset, bytes));
                std::fill_n(at, length, std::byte{0});
                break;
            case 3:
                REQUIRE_FALSE(perform(device, IoKind::write_zeroes, offset, bytes, false, random() % 2 == 0));
                std::fill_n(at, length, std::byte{0});
                break;
            case 4: REQUIRE_FALSE(perform(device, IoKind::flush, 0, {})); break;
            default:
                fill(bytes, random);
                REQUIRE_FALSE(perform(device, IoKind::read, offset, bytes));
                REQUIRE(std::equal(bytes.begin(), bytes.end(), at));
        }
    }
}

}  // namespace

TEST_CASE("random operations against a reference, on every backend this machine has") {
    const TemporaryFolder folder;
    for (const char* backend : {"threads", "auto"}) {
        CAPTURE(backend);
        const auto device = open_raw(folder.path / (std::string{backend} + ".img"), {.create_bytes = 1 << 20}, make_backend(backend, 2));
        CHECK(device->geometry().size_bytes == 1 << 20);
        against_a_reference(*device, 20261123);
    }
}

TEST_CASE("what was written is there after opening again, and a discarded range takes no space") {
    const TemporaryFolder folder;
    const auto backend = make_backend("threads", 1);
    const auto path = folder.path / "disk.img";
    std::vector<std::byte> bytes(1 << 20, std::byte{0x5a});
    {
        const auto device = open_raw(path, {.create_bytes = 4 << 20}, backend);
        REQUIRE_FALSE(perform(*device, IoKind::write, 0, bytes));
        REQUIRE_FALSE(perform(*device, IoKind::flush, 0, {}));
        if (device->geometry().can_discard) REQUIRE_FALSE(perform(*device, IoKind::discard, 0, MutableByteSpan{bytes}.first(512 << 10)));
    }
    const auto device = open_raw(path, {}, backend);
    CHECK(device->geometry().size_bytes == 4 << 20);
    std::vector<std::byte> found(1 << 20);
    REQUIRE_FALSE(perform(*device, IoKind::read, 0, found));
    CHECK(found.back() == std::byte{0x5a});
    if (device->geometry().can_discard) CHECK(found.front() == std::byte{0});
}

TEST_CASE("a disk has one writer") {
    const TemporaryFolder folder;
    const auto backend = make_backend("threads", 1);
    const auto path = folder.path / "disk.img";
    const auto device = open_raw(path, {.create_bytes = 1 << 20}, backend);
    CHECK_THROWS_WITH_AS((void)open_raw(path, {}, backend), doctest::Contains("is in use"), std::runtime_error);
    CHECK_THROWS_WITH_AS((void)open_raw(path, {.read_only = true}, backend), doctest::Contains("is in use"), std::runtime_error);
}

TEST_CASE("a read-only disk refuses writes and may be opened by many") {
    const TemporaryFolder folder;
    const auto backend = make_backend("auto", 1);
    const auto path = folder.path / "disk.img";
    std::ofstream{path} << std::string(4096, 'x');
    const auto one = open_raw(path, {.read_only = true}, backend);
    const auto two = open_raw(path, {.read_only = true}, backend);
    std::vector<std::byte> bytes(512);
    CHECK(perform(*one, IoKind::write, 0, bytes).value() == EROFS);
    CHECK(perform(*two, IoKind::discard, 0, bytes).value() == EROFS);
    CHECK_FALSE(perform(*two, IoKind::read, 0, bytes));
    CHECK(bytes[0] == std::byte{'x'});
}

TEST_CASE("what is no disk is refused with a reason and a remedy") {
    const TemporaryFolder folder;
    const auto backend = make_backend("threads", 1);
    CHECK_THROWS_WITH_AS((void)open_raw(folder.path / "none", {}, backend), doctest::Contains("make the file"), std::runtime_error);
    CHECK_THROWS_WITH_AS((void)open_raw(folder.path, {}, backend), doctest::Contains("is a directory"), std::runtime_error);
    std::ofstream{folder.path / "empty"}.flush();
    CHECK_THROWS_WITH_AS((void)open_raw(folder.path / "empty", {}, backend), doctest::Contains("is empty"), std::runtime_error);
    std::ofstream{folder.path / "odd"} << std::string(1000, 'x');
    CHECK(open_raw(folder.path / "odd", {}, backend)->geometry().size_bytes == 512);
}
