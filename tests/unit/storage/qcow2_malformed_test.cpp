// Images whose tables point where something else is: refused before anything is written, and left as they are.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "storage/blocking.hpp"
#include "storage/memory.hpp"
#include "storage/qcow2/create.hpp"
#include "storage/qcow2/image.hpp"

using namespace diskless;
using namespace diskless::storage;
using namespace diskless::storage::qcow2;

namespace {

constexpr std::uint64_t cluster = 65536;

/// A sound image with two written clusters, and where its parts are.
struct Victim {
    Victim() {
        REQUIRE_FALSE(create(*file, {.size_bytes = 16 << 20, .cluster_bits = 16, .extended_l2 = false}));
        auto image = open();
        const std::vector<std::byte> data(cluster, std::byte{7});
        REQUIRE_FALSE(write_now(*image, 0, data));
        REQUIRE_FALSE(write_now(*image, 5 * cluster, data));
        header = image->header();
        image.reset();
        table = load_be<std::uint64_t>(file->contents(), header.l1_offset) & Entry::offset_mask;
        first_entry = load_be<std::uint64_t>(file->contents(), table);
    }
    [[nodiscard]] std::shared_ptr<Image> open() const { return Image::open(file, {}, {}); }
    void poke(std::uint64_t at, std::uint64_t word) { store_be(file->contents(), at, word); }

    /// What opening says.
    [[nodiscard]] std::string refusal() const {
        const std::vector<std::byte> before{file->contents().begin(), file->contents().end()};
        std::string said;
        try {
            (void)open();
        } catch (const std::runtime_error& error) {
            said = error.what();
        }
        CHECK(std::ranges::equal(before, file->contents()));
        return said;
    }

    std::shared_ptr<MemoryDevice> file = std::make_shared<MemoryDevice>(Geometry{.size_bytes = 2 << 20, .can_discard = true});
    Header header;
    std::uint64_t table = 0, first_entry = 0;
};

}  // namespace

TEST_CASE("qcow2: a guest's cluster where the tables are is refused") {
    for (const auto place_of : {+[](const Victim& v) { return v.header.l1_offset; }, +[](const Victim& v) { return v.table; },
                                +[](const Victim& v) { return v.header.refcount_table_offset; }}) {
        Victim victim;
        victim.poke(victim.table + 8, place_of(victim) | Entry::copied);
        CHECK(victim.refusal().contains("is used twice; repair it: qemu-img check -r all"));
    }
}

TEST_CASE("qcow2: one place for two of a guest's clusters is refused, if writes would go there") {
    Victim victim;
    victim.poke(victim.table + 8, victim.first_entry);
    CHECK(victim.refusal().contains("is used twice"));
}

TEST_CASE("qcow2: one place that is marked as shared is served, and counted as what it is") {
    Victim victim;
    victim.poke(victim.table, victim.first_entry & ~Entry::copied);
    victim.poke(victim.table + 8, victim.first_entry & ~Entry::copied);
    {
        const auto image = victim.open();
        const std::vector<std::byte> data(512, std::byte{9});
        REQUIRE_FALSE(write_now(*image, 0, data));
        std::vector<std::byte> found(512);
        REQUIRE_FALSE(read_now(*image, cluster, found));
        CHECK(found.front() == std::byte{7});
    }
    const auto again = victim.open();
    std::vector<std::byte> found(512);
    REQUIRE_FALSE(read_now(*again, cluster, found));
    CHECK(found.front() == std::byte{7});
}

TEST_CASE("qcow2: tables that point outside, or at each other, are refused") {
    const auto said_after = [](auto&& spoil) {
        Victim victim;
        spoil(victim);
        return victim.refusal();
    };
    CHECK(said_after([](Victim& v) {
              v.poke(v.header.l1_offset, (std::uint64_t{1} << 40) | Entry::copied);
          }).contains("points outside the file"));
    CHECK(said_after([](Victim& v) { v.poke(v.header.l1_offset, v.header.l1_offset | Entry::copied); }) != "");
    CHECK(said_after([](Victim& v) { v.poke(v.table + 16, (std::uint64_t{1} << 40) | Entry::copied); }) != "");
    CHECK(said_after([](Victim& v) { v.poke(v.table + 16, (v.table + 512) | Entry::copied); }) != "");
    CHECK(said_after([](Victim& v) { v.poke(v.header.refcount_table_offset, v.table); }).contains("is used twice"));
}
