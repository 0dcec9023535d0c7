// What is noted of reads, and that noting needs no lock.
#include "storage/read_map.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "storage/blocking.hpp"
#include "storage/memory.hpp"
#include "storage/watched.hpp"

using namespace diskless;
using namespace diskless::storage;

namespace {

using Runs = std::vector<PieceRun>;

constexpr std::uint64_t piece = piece_bytes;

}  // namespace

TEST_CASE("nothing is noted before and after a recording") {
    ReadMap map{100 * piece};
    map.note(0, 512);
    CHECK(map.runs().empty());
    map.begin();
    CHECK(map.runs().empty());
    map.note(piece, 512);
    map.end();
    map.note(5 * piece, 512);
    CHECK(map.runs() == Runs{{1, 1}});
    map.begin();  // begins empty
    CHECK(map.runs().empty());
    map.end();
}

TEST_CASE("pieces are noted whole and joined to runs") {
    ReadMap map{200 * piece + 1};
    map.begin();
    map.note(piece - 1, 2);              // touches 0 and 1
    map.note(63 * piece, 2 * piece);     // over the end of a word
    map.note(10 * piece, 0);             // nothing
    map.note(3 * piece, piece);          // exactly one
    map.note(200 * piece, 4096);         // the last one, of a byte; more is asked for
    map.note(300 * piece, 512);          // beyond
    map.note(~std::uint64_t{0} - 1, 1);  // far beyond
    CHECK(map.runs() == Runs{{0, 2}, {3, 1}, {63, 2}, {200, 1}});
    map.end();
}

TEST_CASE("recordings that overlap see what was read since the first began") {
    ReadMap map{100 * piece};
    map.begin();
    map.note(0, 1);
    map.begin();
    map.note(2 * piece, 1);
    CHECK(map.runs() == Runs{{0, 1}, {2, 1}});
    map.end();
    map.note(4 * piece, 1);
    CHECK(map.runs() == Runs{{0, 1}, {2, 1}, {4, 1}});
    map.end();
}

TEST_CASE("a recording is bounded; what was read first counts") {
    ReadMap map{3 * ReadMap::max_pieces * piece};
    map.begin();
    map.note(piece * ReadMap::max_pieces, piece * (ReadMap::max_pieces + 50));
    map.note(0, piece);
    CHECK(map.runs() == Runs{{ReadMap::max_pieces, ReadMap::max_pieces}});
    map.end();
}

TEST_CASE("many threads note while recordings begin and end") {
    ReadMap map{1000 * piece};
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (std::uint64_t i = 0; i < 3; ++i)
        readers.emplace_back([&, i] {
            for (std::uint64_t at = i; !stop; at = (at + 7) % 1000) map.note(at * piece, 4096);
        });
    for (int i = 0; i < 200; ++i) {
        map.begin();
        std::this_thread::yield();
        for (const PieceRun& run : map.runs()) CHECK(run.end() <= 1000);
        map.end();
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
    map.begin();
    for (std::uint64_t i = 0; i < 3; ++i)
        readers[i] = std::thread{[&, i] {
            for (std::uint64_t at = i; at < 1000; at += 3) map.note(at * piece, 4096);
        }};
    for (std::thread& reader : readers) reader.join();
    CHECK(map.runs() == Runs{{0, 1000}});
    map.end();
}

TEST_CASE("a watched device notes reads, and only those") {
    const auto map = std::make_shared<ReadMap>(16 * piece);
    WatchedDevice device{std::make_shared<MemoryDevice>(Geometry{.size_bytes = 16 * piece}), map};
    map->begin();
    std::vector<std::byte> bytes(4096, std::byte{7});
    CHECK_FALSE(write_now(device, 2 * piece, bytes));
    CHECK(map->runs().empty());
    std::vector<std::byte> read(4096);
    CHECK_FALSE(read_now(device, 2 * piece, read));
    CHECK(read == bytes);
    CHECK(map->runs() == Runs{{2, 1}});
    if (device.borrow(5 * piece, 512)) CHECK(map->runs() == Runs{{2, 1}, {5, 1}});
    CHECK(device.geometry().size_bytes == 16 * piece);
    map->end();
}
