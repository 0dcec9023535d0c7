// What boots read is kept beside the version, and warmed when the first machine of many boots.
#include "disklessd/boot_sets.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include "disklessd/page_warmer.hpp"
#include "tests/unit/db/scratch.hpp"

using namespace diskless;
using namespace std::chrono_literals;
using storage::BootSet;
using storage::piece_bytes;
using storage::PieceRun;
namespace fs = std::filesystem;

namespace {

/// A version that stands on another one, and a clock.
class House {
 public:
    House() {
        fs::create_directories(file("").parent_path());
        for (const char* name : {"2.qcow2", "1.raw"}) {
            std::ofstream{file(name)};
            fs::resize_file(file(name), 64 * piece_bytes);
            maps.push_back(std::make_shared<storage::ReadMap>(64 * piece_bytes));
        }
        start();
    }
    void start(BootSets::Limits limits = {}) { sets.emplace(counters, limits); }
    void stop() { sets.reset(); }
    void restart() {
        stop();
        start();
    }
    void boot() {
        sets->boot_begins({.name = "debian@2", .file = set_file(), .chain = {{file("2.qcow2"), maps[0]}, {file("1.raw"), maps[1]}}}, now);
    }
    void read(std::size_t which, std::uint64_t piece, std::uint64_t count = 1) {
        maps[which]->note(piece * piece_bytes, count * piece_bytes);
    }
    void pass(BootSets::Clock::duration time) {
        now += time;
        sets->look(now);
    }
    [[nodiscard]] fs::path file(const char* name) const { return data.path() / "images/debian" / name; }
    [[nodiscard]] fs::path set_file() const { return file("2.bootset"); }
    [[nodiscard]] std::optional<BootSet> kept() const {
        std::ifstream in{set_file(), std::ios::binary};
        if (!in) return std::nullopt;
        const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
        auto set = storage::decode_boot_set(as_bytes(bytes));
        REQUIRE(set);
        return *set;
    }
    [[nodiscard]] static BootSet set_of(std::vector<PieceRun> own, std::vector<PieceRun> below) {
        return {.files = {{.size_bytes = 64 * piece_bytes, .runs = std::move(own)},
                          {.size_bytes = 64 * piece_bytes, .runs = std::move(below)}}};
    }
    [[nodiscard]] std::uint64_t warmed() { return counters.counter("diskless_boot_sets_warmed_bytes_total").value(); }
    /// The worker is done with what it was given when it is gone.
    void settle() { restart(); }

    DataDir data;
    CounterRegistry counters;
    std::vector<std::shared_ptr<storage::ReadMap>> maps;
    BootSets::Clock::time_point now = BootSets::Clock::now();
    std::optional<BootSets> sets;
};

}  // namespace

TEST_CASE("two minutes of a boot are kept, of all files of the version") {
    House house;
    house.read(0, 1);
    house.boot();
    house.read(0, 3, 2);
    house.read(1, 63);
    house.pass(119s);
    house.read(1, 7);
    house.pass(1s);
    house.read(1, 8);
    house.settle();
    CHECK(house.kept() == House::set_of({{3, 2}}, {{7, 1}, {63, 1}}));
    CHECK(house.warmed() == 0);
    CHECK_FALSE(fs::exists(house.set_file().string() + ".new"));
}

TEST_CASE("a recording that a stop breaks off is kept; one without a read is none") {
    House house;
    house.boot();
    house.stop();
    CHECK_FALSE(house.kept());
    house.start();
    house.boot();
    house.read(0, 5);
    house.stop();
    CHECK(house.kept() == House::set_of({{5, 1}}, {}));
}

TEST_CASE("the first boot after a start warms, others do not until there was a pause; recordings add up") {
    House house;
    house.boot();
    house.read(0, 5);
    house.read(1, 0, 2);
    house.restart();
    const auto wait_for = [&](std::uint64_t pieces) {
        for (int i = 0; i < 2000 && house.warmed() < pieces * piece_bytes; ++i) std::this_thread::sleep_for(5ms);
        CHECK(house.warmed() == pieces * piece_bytes);
    };
    house.boot();
    wait_for(3);
    house.read(1, 9);
    house.pass(2min);
    for (int i = 0; i < 10; ++i) {
        house.boot();
        house.read(1, 50);  // nobody records any more
        house.pass(9min);
    }
    house.pass(2min);
    house.boot();
    wait_for(3 + 4);
    house.settle();
    CHECK(house.kept() == House::set_of({{5, 1}}, {{0, 2}, {9, 1}}));
}

TEST_CASE("when a set would become larger than what is ever warmed, the last boot counts alone") {
    House house;
    const BootSets::Limits small{.warm_bytes = 3 * piece_bytes};
    for (const std::uint64_t from : {std::uint64_t{10}, std::uint64_t{20}}) {
        house.stop();
        house.start(small);
        house.boot();
        house.read(0, from, 2);
    }
    house.stop();
    CHECK(house.kept() == House::set_of({{20, 2}}, {}));
}

TEST_CASE("a set that is damaged, too large or of other files is removed and recorded anew") {
    House house;
    BootSet other = House::set_of({{1, 1}}, {});
    other.files.back().size_bytes += 1;
    BootSet fewer = House::set_of({{1, 1}}, {});
    fewer.files.pop_back();
    const std::string too_large(BootSet::max_encoded_bytes + 1, 'x');
    const auto as_string = [](const std::vector<std::byte>& bytes) { return std::string{as_text(bytes)}; };
    for (const std::string& bytes :
         {std::string{}, std::string{"damaged"}, too_large, as_string(encode(other)), as_string(encode(fewer))}) {
        house.stop();
        std::ofstream{house.set_file(), std::ios::binary} << bytes;
        house.start();
        house.boot();
        for (int i = 0; i < 2000 && fs::exists(house.set_file()); ++i) std::this_thread::sleep_for(5ms);
        CHECK_FALSE(fs::exists(house.set_file()));
        house.read(0, 2);
        house.stop();
        CHECK(house.kept() == House::set_of({{2, 1}}, {}));
    }
    CHECK(house.warmed() == 0);
}

TEST_CASE("nothing is kept of a version that is gone") {
    House house;
    house.boot();
    house.read(0, 5);
    fs::remove(house.file("2.qcow2"));
    house.stop();
    CHECK_FALSE(fs::exists(house.set_file()));
}

TEST_CASE("the warmer keeps its budget, and ends when it is told to") {
    House house;
    const BootSet::File file{.size_bytes = 64 * piece_bytes, .runs = {{0, 10}, {20, 44}}};
    std::atomic<bool> stopping{false};
    PageWarmer all{1 << 30, stopping};
    all.warm(house.file("1.raw"), file);
    CHECK(all.warmed_bytes() == 54 * piece_bytes);
    PageWarmer some{15 * piece_bytes, stopping};
    some.warm(house.file("1.raw"), file);
    some.warm(house.file("2.qcow2"), file);
    CHECK(some.warmed_bytes() == 15 * piece_bytes);
    PageWarmer missing{1 << 30, stopping};
    missing.warm(house.file("nothing"), file);
    CHECK(missing.warmed_bytes() == 0);
    stopping = true;
    PageWarmer stopped{1 << 30, stopping};
    stopped.warm(house.file("1.raw"), file);
    CHECK(stopped.warmed_bytes() == 0);
    CHECK(available_memory_bytes() > 1 << 20);
}
