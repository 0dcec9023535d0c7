// What a disk must not do: take more memory than it says, move more than the CDB allows, promise what it cannot change, or keep telling
// what an initiator already knows.
#include <doctest/doctest.h>

#include <algorithm>

#include "scsi_disk.hpp"
#include "services/iscsi/scsi/sense.hpp"

using namespace diskless;
using namespace diskless::scsi;
using namespace diskless::scsi::test;
using storage::IoKind;

namespace {

std::uint8_t at(ByteSpan bytes, std::size_t i) { return load_be<std::uint8_t>(bytes, i); }

}  // namespace

TEST_CASE("VERIFY compares a long range in pieces: its first and its last block, and the first of a later piece") {
    constexpr std::size_t length = std::size_t{2} << 20;  // 4096 blocks, four pieces
    for (const std::size_t wrong : {std::size_t{0}, std::size_t{512} << 10, length - 1}) {
        CAPTURE(wrong);
        Disk disk{{.size_bytes = 4 << 20}};
        std::uint64_t largest = 0;
        disk.fault->fail(
            [&](const storage::IoRequest& r) {
                if (r.kind == IoKind::read) largest = std::max(largest, r.length_bytes);
                return false;
            },
            0);
        const auto data = pattern(length);
        std::ranges::copy(data, disk.memory->contents().begin());
        TestCommand same{0x2f, 2, 0, 0, 0, 0, 0, 0x10, 0};
        CHECK(same.run(disk.units, length, data) == Status::good);
        CHECK(largest > 0);
        CHECK(largest <= std::uint64_t{512} << 10);
        disk.memory->contents()[wrong] ^= std::byte{1};
        TestCommand other{0x2f, 2, 0, 0, 0, 0, 0, 0x10, 0};
        CHECK(other.run(disk.units, length, data) == Status::check_condition);
        CHECK(other.sense == Sense{.key = SenseKey::miscompare, .asc_ascq = asc::miscompare_during_verify});
    }
}

TEST_CASE("VERIFY of every block with one, and what it does while the device takes its time") {
    Disk disk{{.size_bytes = 4 << 20}};
    const auto block = pattern(512);
    for (std::size_t lba = 0; lba < 2048; ++lba)
        std::ranges::copy(block, disk.memory->contents().begin() + static_cast<std::ptrdiff_t>(lba * 512));
    disk.fault->hold();
    TestCommand same{0x2f, 6, 0, 0, 0, 0, 0, 0x08, 0};
    same.run(disk.units, 512, block);
    CHECK(same.started == storage::Started::pending);
    disk.fault->release();
    CHECK(same.finished_calls == 1);
    CHECK(same.status == Status::good);
    disk.memory->contents()[2047 * 512] ^= std::byte{1};
    TestCommand other{0x2f, 6, 0, 0, 0, 0, 0, 0x08, 0};
    CHECK(other.run(disk.units, 512, block) == Status::check_condition);
}

TEST_CASE("a transport that brings a larger buffer than the CDB asks for moves no more than the CDB") {
    Disk disk;
    TestCommand write{0x2a, 0, 0, 0, 0, 0, 0, 0, 1};
    REQUIRE(disk.units.examine(write));
    auto data = pattern(2048);
    write.data = data;
    CHECK(disk.units.execute(write) == storage::Started::completed);
    CHECK(disk.memory->contents()[511] == data[511]);
    CHECK(std::ranges::all_of(disk.memory->contents().subspan(512, 2048), [](std::byte b) { return b == std::byte{0}; }));
    TestCommand read{0x28, 0, 0, 0, 7, 0xff, 0, 0, 1};  // the last block: more would be beyond the end
    REQUIRE(disk.units.examine(read));
    read.data = data;
    CHECK(disk.units.execute(read) == storage::Started::completed);
    CHECK(read.data_in_bytes == 512);
}

TEST_CASE("a failure in the middle of several device requests ends the command once") {
    Disk disk{{.size_bytes = 4 << 20}};
    disk.fault->fail([](const storage::IoRequest& r) { return r.offset_bytes >= (1 << 20); }, ENOSPC);
    TestCommand same{0x41, 0, 0, 0, 0, 0, 0, 0x10, 0};  // 2 MiB of a pattern
    CHECK(same.run(disk.units, 512, pattern(512)) == Status::check_condition);
    CHECK(same.sense == Sense{.key = SenseKey::data_protect, .asc_ascq = asc::space_allocation_failed});
    CHECK(disk.memory->contents()[(1 << 20) - 1] == pattern(512)[511]);
    CHECK(disk.memory->contents()[(1 << 20) + 1] == std::byte{0});
}

// SPC-4 6.35.3; other targets (SCST) report it the same way.
TEST_CASE("CDB usage data names the opcode and the service action themselves") {
    Disk disk;
    for (const CommandEntry& entry : all_commands()) {
        CAPTURE(int{entry.opcode});
        TestCommand one{0xa3, 0x0c, 3, entry.opcode, 0, entry.service_action.value_or(0), 0, 0, 1, 0};
        REQUIRE(one.run(disk.units) == Status::good);
        REQUIRE(one.data_in().size() == 4u + entry.cdb_bytes);
        CHECK(at(one.data_in(), 4) == entry.opcode);
        if (entry.service_action) CHECK((at(one.data_in(), 5) & 0x1f) == *entry.service_action);
    }
}

TEST_CASE("of the mode pages, D_SENSE and SWP can be changed and nothing else") {
    Disk disk;
    TestCommand changeable{0x1a, 0x08, 0x7f, 0, 255};
    REQUIRE(changeable.run(disk.units) == Status::good);
    ByteReader pages{changeable.data_in().subspan(4)};
    while (pages.remaining() > 0) {
        const int page = pages.u8();
        CAPTURE(page);
        const ByteSpan bits = pages.bytes(pages.u8());
        REQUIRE(pages.ok());
        for (std::size_t i = 0; i < bits.size(); ++i) {
            const int expected = page == 0x0a && i == 0 ? 0x04 : page == 0x0a && i == 2 ? 0x08 : 0;
            CHECK(at(bits, i) == expected);
        }
    }
}

// One entry for each place of the transfer length (SPC-4 4.3.4).
TEST_CASE("a transfer that is too long is refused by pointing at its length") {
    Disk disk{{.size_bytes = std::uint64_t{64} << 20}};
    TestCommand ten{0x28, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    TestCommand twelve{0xa8, 0, 0, 0, 0, 0, 0, 1, 0, 0};
    TestCommand sixteen{0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
    for (const auto& [command, field] : {std::pair{&ten, 7u}, std::pair{&twelve, 6u}, std::pair{&sixteen, 10u}}) {
        CHECK(command->run(disk.units) == Status::check_condition);
        CHECK(command->sense.asc_ascq == asc::invalid_field_in_cdb);
        CHECK(command->sense.specific == (0xc00000u | field));
    }
}

TEST_CASE("REPORT LUNS takes the news of a changed list away, from whoever asks and nobody else") {
    Disk disk;
    const ITNexus one{.id = 1};
    const ITNexus two{.id = 2};
    for (const ITNexus* nexus : {&one, &two}) {
        disk.units.attach(*nexus);
        TestCommand power_on({0x00}, nexus);
        power_on.run(disk.units);
    }
    const auto second = std::make_shared<LogicalUnit>(disk.memory, Identity{.target_name = "t", .lun = 1});
    disk.units.replace({disk.unit, second});
    TestCommand luns({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, &one);
    CHECK(luns.run(disk.units) == Status::good);
    TestCommand mine({0x00}, &one);
    CHECK(mine.run(disk.units) == Status::good);
    TestCommand theirs({0x00}, &two);
    CHECK(theirs.run(disk.units) == Status::check_condition);
    CHECK(theirs.sense.asc_ascq == asc::reported_luns_data_has_changed);

    // A unit that leaves forgets the sessions it had: back again, it starts with them anew and has nothing old to tell.
    disk.units.replace({disk.unit});
    disk.units.detach(one);
    disk.units.replace({disk.unit, second});
    TestCommand gone({0x00}, &one);
    gone.lun = 1;
    CHECK(gone.run(disk.units) == Status::good);
}
