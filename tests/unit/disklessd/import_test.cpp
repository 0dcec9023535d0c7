// One import: unpacking, holes, digests, limits, and going on after an interruption.
#include "disklessd/importing/import.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disklessd/importing/error.hpp"
#include "disklessd/importing/unpack.hpp"
#include "packed.hpp"
#include "tests/unit/db/scratch.hpp"

using namespace diskless;
using namespace diskless::importing;

namespace {

constexpr std::array packings{Packing::none, Packing::gzip, Packing::xz, Packing::zstd};

struct Bench {
    Bench() { std::filesystem::create_directories(data.path()); }

    /// The error's text; empty: it was made.
    std::string import(const std::string& name, const std::string& bytes, std::string format = {}, Limits limits = {}) {
        order = {.source = data.path() / name, .format = std::move(format), .working = data.path() / "made", .reached = {}};
        write_file(order.source, bytes);
        try {
            made = make_disk(order, limits, progress, stop.get_token(), [](const SafePoint&) {});
            return {};
        } catch (const ImportError& e) {
            discard(order.working);
            return e.what();
        }
    }
    [[nodiscard]] std::string disk() const { return read_file(order.working); }
    [[nodiscard]] std::ptrdiff_t files() const {
        return std::distance(std::filesystem::directory_iterator{data.path()}, std::filesystem::directory_iterator{});
    }

    DataDir data;
    Order order;
    Made made;
    Progress progress;
    std::stop_source stop;
};

std::string unpacked(const std::filesystem::path& file, Packing packing, std::size_t step) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    std::string all;
    {
        const auto source = open_source(descriptor, packing);
        std::string buffer(step, '\0');
        while (const std::size_t n = source->read(std::as_writable_bytes(std::span{buffer}))) all.append(buffer, 0, n);
        CHECK(source->position() <= std::filesystem::file_size(file));
    }
    ::close(descriptor);
    return all;
}

}  // namespace

TEST_CASE("every packing gives back what was packed, in steps of any size, also in several pieces") {
    const DataDir data;
    const std::string plain = noise(700'001) + std::string(300'000, '\0') + noise(5, 2);
    for (const Packing packing : packings) {
        CAPTURE(static_cast<int>(packing));
        write_file(data.path() / "one", packed(plain, packing));
        write_file(data.path() / "two", packed(plain, packing) + packed(plain, packing));
        for (const std::size_t step : {std::size_t{777}, std::size_t{65'536}, std::size_t{3'000'000}}) {
            CHECK(unpacked(data.path() / "one", packing, step) == plain);
            CHECK(unpacked(data.path() / "two", packing, step) == plain + plain);
        }
    }
    write_file(data.path() / "padded", gzip(plain) + std::string(1000, '\0'));
    CHECK(unpacked(data.path() / "padded", Packing::gzip, 4096) == plain);
}

TEST_CASE("what is broken off anywhere is refused, and nothing is left") {
    Bench bench;
    const std::string plain = noise(300'000) + std::string(500'000, 'x');
    for (const Packing packing : {Packing::gzip, Packing::xz, Packing::zstd}) {
        const std::string whole = packed(plain, packing);
        for (const std::size_t cut :
             {whole.size() - 1, whole.size() - 5, whole.size() / 2, std::size_t{300'000}, std::size_t{20}, std::size_t{7}}) {
            CAPTURE(cut);
            CHECK(bench.import("x", whole.substr(0, cut)).contains("is broken off"));
            CHECK(bench.files() == 1);
        }
        std::string wrong = whole;
        wrong[100] = static_cast<char>(~wrong[100]);
        wrong[200] = static_cast<char>(~wrong[200]);
        if (packing != Packing::zstd) CHECK(bench.import("x", wrong).contains("is damaged"));  // zstd packs noise as it is, without a check
    }
}

TEST_CASE("a raw disk keeps its holes and gets its digest, packed or not") {
    Bench bench;
    const std::string plain(1 << 20, '\0');
    for (const Packing packing : packings) {
        REQUIRE(bench.import("x.img", packed(plain, packing)).empty());
        CHECK(bench.made.digest == "sha256:30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
        CHECK(bench.made.size_bytes == plain.size());
        CHECK(bench.made.warning.empty());
        struct stat status{};
        REQUIRE(::stat(bench.order.working.c_str(), &status) == 0);
        CHECK(status.st_blocks == 0);
        CHECK((status.st_mode & 07777) == 0440);
        CHECK(bench.disk() == plain);
        const Progress::Reading reading = bench.progress.read();
        CHECK(reading.done_bytes == reading.total_bytes);
    }
    const std::string mixed = noise(10'000) + std::string(100'000, '\0') + noise(5'120, 3) + std::string(1 << 20, '\0') + noise(4'096, 4);
    for (const Packing packing : packings) {
        REQUIRE(bench.import("x.img", packed(mixed + std::string(96, 'e'), packing)).empty());
        CHECK(bench.disk() == mixed + std::string(96, 'e') + std::string(512 - (mixed.size() + 96) % 512, '\0'));
        CHECK(bench.made.warning.contains("zero bytes were added"));
    }
}

TEST_CASE("what cannot be a disk is told") {
    Bench bench;
    CHECK(bench.import("x.img", "").contains("is empty"));
    CHECK(bench.import("x.gz", gzip("")).contains("is empty"));
    CHECK(bench.import("x.gz", "plain").contains("is named .gz"));
    CHECK(bench.import("x.qcow2", "plain").contains("is named .qcow2"));
    CHECK(bench.import("x.img", "plain", "qcow2").contains("is no qcow2 image"));
    std::string overlay = "QFI\xfb" + std::string(200, '\0');
    overlay[7] = 3;
    overlay[15] = 104;
    CHECK(bench.import("x.img", overlay).contains("names a backing file"));
    CHECK(bench.import("x.img.gz", gzip(overlay)).contains("names a backing file"));
    CHECK(bench.files() == 4);  // the sources
    bench.order.source = bench.data.path() / "nothing";
    CHECK_THROWS_WITH_AS(examine_source(bench.order.source), "there is no such file; check its name", ImportError);
    CHECK_THROWS_WITH_AS(examine_source(bench.data.path()), doctest::Contains("is neither a file nor"), ImportError);
}

TEST_CASE("no import fills the file system, and no zip bomb goes off") {
    Bench bench;
    const Limits nothing{.reserve_bytes = std::uint64_t{1} << 62};
    const std::string bomb(64 << 20, '\0');
    for (const Packing packing : {Packing::gzip, Packing::xz, Packing::zstd})
        CHECK(bench.import("x.img", packed(bomb, packing), {}, nothing).contains("it takes more than"));
    CHECK(bench.import("x.img", noise(100'000), {}, nothing).contains("it takes more than the 0 MiB"));
    CHECK(bench.files() == 1);
}

TEST_CASE("it stops when it is told to") {
    Bench bench;
    bench.stop.request_stop();
    CHECK_THROWS_AS(bench.import("x.img", noise(100'000)), Stopped);
    CHECK_THROWS_AS(bench.import("x.img", gzip(noise(100'000))), Stopped);
}

TEST_CASE("a source that changes under the import is not taken for a disk") {
    for (const Packing packing : packings) {
        Bench bench;
        const Limits limits{.safe_point_bytes = 1 << 20};
        REQUIRE(bench.import("x.img", packed(noise(2 << 20), packing)).empty());
        discard(bench.order.working);
        const auto touch = [&](const SafePoint&) { std::ofstream{bench.order.source, std::ios::app} << "more"; };
        CHECK_THROWS_AS((void)make_disk(bench.order, limits, bench.progress, bench.stop.get_token(), touch), ImportError);
    }
}

TEST_CASE("a copy goes on from its last safe point, unless the source has changed") {
    struct Killed {};
    const std::string plain = noise(5 << 20) + std::string(1 << 20, '\0');
    for (const Packing packing : packings) {
        CAPTURE(static_cast<int>(packing));
        Bench bench;
        const Limits limits{.safe_point_bytes = 1 << 20};
        REQUIRE(bench.import("x.img", packed(plain, packing)).empty());
        const std::string digest = bench.made.digest;
        std::filesystem::remove(bench.order.working);

        SafePoint reached;
        const auto kill_at_third = [&, n = 0](const SafePoint& point) mutable {
            reached = point;
            if (++n == 3) throw Killed{};
        };
        const auto attempt = [&](const std::function<void(const SafePoint&)>& keep) {
            return make_disk(bench.order, limits, bench.progress, bench.stop.get_token(), keep);
        };
        CHECK_THROWS_AS((void)attempt(kill_at_third), Killed);
        CHECK(reached.bytes == 3 << 20);
        // What is on disk up to there is not read from the source again: this would show.
        std::fstream{bench.order.working, std::ios::in | std::ios::out | std::ios::binary} << "kept";
        bench.order.reached = reached;
        CHECK_THROWS_AS((void)attempt(kill_at_third), Killed);
        CHECK(reached.bytes == 6 << 20);
        bench.order.reached = reached;
        CHECK(attempt([](const SafePoint&) {}).size_bytes == plain.size());
        CHECK(bench.disk() == "kept" + plain.substr(4));

        // Less is there than was promised, or the source is another: from the beginning, also over a file that is finished.
        bench.order.reached.bytes = plain.size() + 1;
        CHECK(attempt([](const SafePoint&) {}).digest == digest);
        std::filesystem::permissions(bench.order.working, std::filesystem::perms::owner_all);
        std::fstream{bench.order.working, std::ios::in | std::ios::out | std::ios::binary} << "kept";
        std::fstream{bench.order.source, std::ios::in | std::ios::out | std::ios::binary}.put(packed(plain, packing).front());
        bench.order.reached = reached;
        CHECK(attempt([](const SafePoint&) {}).digest == digest);
        CHECK(bench.disk() == plain);
    }
}
