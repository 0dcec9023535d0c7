// Requests that meet at one cluster, in the order that hurts: one is on its way to the file while the other is answered.
#include <doctest/doctest.h>

#include <algorithm>

#include "storage/blocking.hpp"
#include "storage/fault.hpp"
#include "storage/memory.hpp"
#include "storage/qcow2/create.hpp"
#include "storage/qcow2/image.hpp"

using namespace diskless;
using namespace diskless::storage;
using namespace diskless::storage::qcow2;

namespace {

constexpr std::uint64_t cluster = 65536, subcluster = 2048;

class Waiting final : public IoRequest {
 public:
    Waiting(IoKind what, std::uint64_t at, std::uint64_t bytes, std::byte fill = {}) : data(what == IoKind::write ? bytes : 0, fill) {
        kind = what;
        offset_bytes = at;
        length_bytes = bytes;
        may_discard = true;
        piece = {data.data(), data.size()};
        if (!data.empty()) buffers = {&piece, 1};
    }
    void start(BlockDevice& disk) {
        if (disk.start(*this) == Started::completed) done = true;  // pending: completed() may have been called already
    }
    void completed() noexcept override { done = true; }

    std::vector<std::byte> data;
    iovec piece{};
    bool done = false;
};

struct Disk {
    explicit Disk(bool backed = true) {
        std::ranges::fill(backing->contents(), std::byte{0xbb});
        REQUIRE_FALSE(create(*memory, {.size_bytes = 1 << 20, .backing_name = backed ? "base" : "", .backing_format = "raw"}));
        open();
        // The table is there from now on, and what space is free is known.
        REQUIRE_FALSE(write(0, 512, std::byte{1}));
    }
    void open() {
        image = Image::open(faults, {}, [this](const std::string&, const std::string&) { return backing; });
    }
    boost::system::error_code write(std::uint64_t at, std::uint64_t bytes, std::byte fill) {
        return write_now(*image, at, std::vector<std::byte>(bytes, fill));
    }
    [[nodiscard]] std::vector<std::byte> read(std::uint64_t at, std::uint64_t bytes) {
        std::vector<std::byte> data(bytes);
        CHECK_FALSE(read_now(*image, at, data));
        return data;
    }
    void check(std::uint64_t at, std::uint64_t bytes, std::byte fill) {
        CHECK(std::ranges::all_of(read(at, bytes), [&](std::byte b) { return b == fill; }));
    }

    std::shared_ptr<MemoryDevice> memory = std::make_shared<MemoryDevice>(Geometry{.size_bytes = 4 << 20, .can_discard = true});
    std::shared_ptr<FaultDevice> faults = std::make_shared<FaultDevice>(memory);
    std::shared_ptr<MemoryDevice> backing = std::make_shared<MemoryDevice>(Geometry{.size_bytes = 1 << 20});
    std::shared_ptr<Image> image;
};

}  // namespace

TEST_CASE("qcow2: a cluster's neighbours are discarded while its first write is on its way") {
    Disk disk;
    disk.faults->hold();
    Waiting write{IoKind::write, cluster, subcluster, std::byte{7}};
    write.start(*disk.image);
    CHECK_FALSE(write.done);
    Waiting discard{IoKind::discard, cluster + 5 * subcluster, subcluster};
    discard.start(*disk.image);
    disk.faults->release();
    REQUIRE(write.done);
    REQUIRE(discard.done);
    CHECK_FALSE(write.error);
    const auto check = [&] {
        disk.check(cluster, subcluster, std::byte{7});
        disk.check(cluster + subcluster, 4 * subcluster, std::byte{0xbb});
        disk.check(cluster + 5 * subcluster, subcluster, std::byte{0});
    };
    check();
    // Nobody else gets the same place.
    CHECK_FALSE(flush_now(*disk.image));
    CHECK_FALSE(disk.write(4 * cluster, cluster, std::byte{9}));
    check();
    disk.image.reset();
    disk.open();
    check();
    disk.check(4 * cluster, cluster, std::byte{9});
}
