// Block commands on a disk in memory: data, ranges, the edges of the disk, and what a failing device looks like to an initiator.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "scsi_disk.hpp"
#include "services/iscsi/scsi/sense.hpp"

using namespace diskless;
using namespace diskless::scsi;
using namespace diskless::scsi::test;
using storage::Started;

namespace {

Sense illegal(std::uint16_t code) { return {.key = SenseKey::illegal_request, .asc_ascq = code}; }

void check_failed(const TestCommand& command, SenseKey key, std::uint16_t code) {
    CHECK(command.status == Status::check_condition);
    CHECK(command.sense.key == key);
    CHECK(command.sense.asc_ascq == code);
}

}  // namespace

TEST_CASE("what WRITE of any length writes, READ of any length reads") {
    Disk disk;
    const auto data = pattern(2048);
    TestCommand w6{0x0a, 0, 0, 8, 4};
    CHECK(w6.run(disk.units, 2048, data) == Status::good);
    TestCommand w10{0x2a, 0, 0, 0, 0, 16, 0, 0, 4};
    CHECK(w10.run(disk.units, 2048, data) == Status::good);
    TestCommand w12{0xaa, 0, 0, 0, 0, 24, 0, 0, 0, 4};
    CHECK(w12.run(disk.units, 2048, data) == Status::good);
    TestCommand w16{0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 4};
    CHECK(w16.run(disk.units, 2048, data) == Status::good);
    for (const int lba : {8, 16, 24, 32})
        CHECK(std::ranges::equal(disk.memory->contents().subspan(static_cast<std::size_t>(lba) * 512, 2048), data));
    TestCommand r6{0x08, 0, 0, 32, 4};
    TestCommand r10{0x28, 0, 0, 0, 0, 24, 0, 0, 4};
    TestCommand r12{0xa8, 0, 0, 0, 0, 16, 0, 0, 0, 4};
    TestCommand r16{0x88, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 4};
    for (TestCommand* read : {&r6, &r10, &r12, &r16}) {
        CHECK(read->run(disk.units, 2048) == Status::good);
        CHECK(std::ranges::equal(read->data_in(), data));
    }
    TestCommand zero_means_256{0x08, 0, 0, 0, 0};
    CHECK(zero_means_256.run(disk.units) == Status::good);
    CHECK(zero_means_256.data_in().size() == 256 * 512);
}

TEST_CASE("an initiator that expects less gets less, whole blocks or not") {
    Disk disk;
    std::ranges::copy(pattern(4096), disk.memory->contents().begin());
    TestCommand read{0x28, 0, 0, 0, 0, 0, 0, 0, 8};
    CHECK(read.run(disk.units, 700) == Status::good);
    CHECK(read.data_in().size() == 700);
    CHECK(std::ranges::equal(read.data_in(), ByteSpan{disk.memory->contents()}.first(700)));
    TestCommand write{0x2a, 0, 0, 0, 0, 64, 0, 0, 8};
    CHECK(write.run(disk.units, 700, pattern(4096, 9)) == Status::good);
    CHECK(disk.memory->contents()[64 * 512 + 511] == pattern(4096, 9)[511]);
    CHECK(disk.memory->contents()[64 * 512 + 512] == std::byte{0});
}

TEST_CASE("the end of the disk, also where the sum overflows") {
    Disk disk;  // 2048 blocks
    TestCommand last{0x28, 0, 0, 0, 7, 0xff, 0, 0, 1};
    CHECK(last.run(disk.units) == Status::good);
    TestCommand beyond{0x28, 0, 0, 0, 7, 0xff, 0, 0, 2};
    beyond.run(disk.units);
    check_failed(beyond, SenseKey::illegal_request, asc::lba_out_of_range);
    TestCommand overflow{0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2};
    overflow.run(disk.units);
    check_failed(overflow, SenseKey::illegal_request, asc::lba_out_of_range);
    TestCommand nothing_at_the_end{0x28, 0, 0, 0, 8, 0, 0, 0, 0};
    CHECK(nothing_at_the_end.run(disk.units) == Status::good);
    TestCommand nothing_beyond{0x28, 0, 0, 0, 8, 1, 0, 0, 0};
    nothing_beyond.run(disk.units);
    check_failed(nothing_beyond, SenseKey::illegal_request, asc::lba_out_of_range);
    TestCommand protect{0x28, 0x20, 0, 0, 0, 0, 0, 0, 1};
    protect.run(disk.units);
    check_failed(protect, SenseKey::illegal_request, asc::invalid_field_in_cdb);
}

TEST_CASE("a transfer above the reported limit is refused, not attempted") {
    Disk disk{{.size_bytes = std::uint64_t{64} << 20}};
    TestCommand read{0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};  // 65536 blocks: 32 MiB
    read.run(disk.units);
    check_failed(read, SenseKey::illegal_request, asc::invalid_field_in_cdb);
}

TEST_CASE("UNMAP: descriptors are checked before any is performed; nothing to do is GOOD") {
    Disk disk;
    std::ranges::fill(disk.memory->contents(), std::byte{7});
    const auto list = [](std::initializer_list<std::pair<std::uint64_t, std::uint32_t>> ranges) {
        std::vector<std::byte> bytes(8 + 16 * ranges.size());
        store_be(bytes, 0, static_cast<std::uint16_t>(bytes.size() - 2));
        store_be(bytes, 2, static_cast<std::uint16_t>(bytes.size() - 8));
        std::size_t at = 8;
        for (const auto& [lba, blocks] : ranges) {
            store_be(bytes, at, lba);
            store_be(bytes, at + 8, blocks);
            at += 16;
        }
        return bytes;
    };
    const auto zeros = [&] { return std::ranges::count(disk.memory->contents(), std::byte{0}); };
    TestCommand none{0x42, 0, 0, 0, 0, 0, 0, 0, 0};
    CHECK(none.run(disk.units) == Status::good);
    TestCommand wrong{0x42, 0, 0, 0, 0, 0, 0, 0, 40};
    wrong.run(disk.units, 1 << 20, list({{0, 8}, {2047, 2}}));
    check_failed(wrong, SenseKey::illegal_request, asc::lba_out_of_range);
    CHECK(zeros() == 0);
    TestCommand two{0x42, 0, 0, 0, 0, 0, 0, 0, 56};
    CHECK(two.run(disk.units, 1 << 20, list({{0, 8}, {100, 0}, {16, 4}})) == Status::good);
    CHECK(zeros() == 12 * 512);
    TestCommand truncated{0x42, 0, 0, 0, 0, 0, 0, 0, 4};
    truncated.run(disk.units, 1 << 20, std::vector<std::byte>(4));
    check_failed(truncated, SenseKey::illegal_request, asc::parameter_list_length_error);
    TestCommand anchor{0x42, 1, 0, 0, 0, 0, 0, 0, 24};
    anchor.run(disk.units);
    check_failed(anchor, SenseKey::illegal_request, asc::invalid_field_in_cdb);
}

TEST_CASE("WRITE SAME: a pattern, zeros, no data, and to the end of the disk") {
    Disk disk;
    const auto block = pattern(512, 3);
    TestCommand ten{0x41, 0, 0, 0, 0, 8, 0, 0x06, 0};  // 1536 blocks: more than one piece
    CHECK(ten.run(disk.units, 512, block) == Status::good);
    for (const std::size_t lba : {8u, 9u, 1030u, 1543u}) CHECK(std::ranges::equal(disk.memory->contents().subspan(lba * 512, 512), block));
    CHECK(disk.memory->contents()[1544 * 512 + 1] == std::byte{0});
    TestCommand no_data{0x93, 0x01, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2};
    CHECK(no_data.run(disk.units, 0) == Status::good);
    CHECK(no_data.examined.direction == Transfer::Direction::none);
    CHECK(std::ranges::count(disk.memory->contents().subspan(8 * 512, 1024), std::byte{0}) == 1024);
    std::ranges::fill(disk.memory->contents(), std::byte{7});
    TestCommand to_the_end{0x93, 0x08, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0};
    CHECK(to_the_end.run(disk.units, 512, std::vector<std::byte>(512)) == Status::good);
    CHECK(std::ranges::count(disk.memory->contents(), std::byte{0}) == 1024 * 512);
    TestCommand anchor{0x93, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    anchor.run(disk.units, 512, block);
    check_failed(anchor, SenseKey::illegal_request, asc::invalid_field_in_cdb);
}

TEST_CASE("VERIFY compares when it is told to") {
    Disk disk;
    std::ranges::copy(pattern(1024), disk.memory->contents().begin());
    TestCommand no_compare{0x2f, 0, 0, 0, 0, 0, 0, 0, 2};
    CHECK(no_compare.run(disk.units, 0) == Status::good);
    TestCommand same{0x2f, 2, 0, 0, 0, 0, 0, 0, 2};
    CHECK(same.run(disk.units, 1024, pattern(1024)) == Status::good);
    TestCommand other{0x2f, 2, 0, 0, 0, 0, 0, 0, 2};
    other.run(disk.units, 1024, pattern(1024, 2));
    check_failed(other, SenseKey::miscompare, 0x1d00);
}

TEST_CASE("FUA and WRITE AND VERIFY reach the device as such, SYNCHRONIZE CACHE as a flush") {
    Disk disk;
    std::vector<std::pair<storage::IoKind, bool>> seen;
    disk.fault->fail(
        [&](const storage::IoRequest& r) {
            seen.emplace_back(r.kind, r.force_unit_access);
            return false;
        },
        0);
    TestCommand fua{0x2a, 0x08, 0, 0, 0, 0, 0, 0, 1};
    fua.run(disk.units, 512, pattern(512));
    TestCommand plain{0x2a, 0, 0, 0, 0, 0, 0, 0, 1};
    plain.run(disk.units, 512, pattern(512));
    TestCommand verify{0x2e, 0, 0, 0, 0, 0, 0, 0, 1};
    verify.run(disk.units, 512, pattern(512));
    TestCommand flush{0x35};
    CHECK(flush.run(disk.units) == Status::good);
    using storage::IoKind;
    CHECK(seen == std::vector<std::pair<IoKind, bool>>{
                      {IoKind::write, true}, {IoKind::write, false}, {IoKind::write, true}, {IoKind::flush, false}});
}

TEST_CASE("a failing device: the right sense for each errno, at once or later") {
    struct Case {
        int error;
        SenseKey key;
        std::uint16_t code;
    };
    for (const auto& [error, key, code] :
         {Case{ENOSPC, SenseKey::data_protect, asc::space_allocation_failed}, Case{EIO, SenseKey::medium_error, asc::write_error},
          Case{EROFS, SenseKey::data_protect, asc::write_protected},
          Case{ENODEV, SenseKey::hardware_error, asc::internal_target_failure}}) {
        Disk disk;
        disk.fault->fail([](const storage::IoRequest&) { return true; }, error);
        TestCommand now{0x2a, 0, 0, 0, 0, 0, 0, 0, 1};
        now.run(disk.units, 512, pattern(512));
        check_failed(now, key, code);
        disk.fault->hold();
        TestCommand later{0x2a, 0, 0, 0, 0, 0, 0, 0, 1};
        later.run(disk.units, 512, pattern(512));
        CHECK(later.started == Started::pending);
        CHECK(later.finished_calls == 0);
        disk.fault->release();
        CHECK(later.finished_calls == 1);
        check_failed(later, key, code);
    }
    Disk disk;
    disk.fault->fail([](const storage::IoRequest&) { return true; }, EIO);
    TestCommand read{0x28, 0, 0, 0, 0, 0, 0, 0, 1};
    read.run(disk.units);
    check_failed(read, SenseKey::medium_error, asc::unrecovered_read_error);
    CHECK(read.data_in().empty());
}

TEST_CASE("unknown commands, unknown service actions and NACA are refused") {
    Disk disk;
    TestCommand opcode{0xc7};
    opcode.run(disk.units);
    CHECK(opcode.sense == illegal(asc::invalid_command_operation_code));
    TestCommand action{0x9e, 0x1f};
    action.run(disk.units);
    check_failed(action, SenseKey::illegal_request, asc::invalid_field_in_cdb);
    TestCommand naca{0x00, 0, 0, 0, 0, 0x04};
    naca.run(disk.units);
    check_failed(naca, SenseKey::illegal_request, asc::invalid_field_in_cdb);
}

TEST_CASE("a read-only disk refuses every way of writing, and nothing else") {
    Disk disk{{.size_bytes = 1 << 20, .read_only = true}};
    for (const int opcode : {0x2a, 0x2e, 0x41}) {
        TestCommand write{opcode, 0, 0, 0, 0, 0, 0, 0, 1};
        write.run(disk.units, 512, pattern(512));
        check_failed(write, SenseKey::data_protect, asc::write_protected);
    }
    TestCommand flush{0x35};
    CHECK(flush.run(disk.units) == Status::good);
    TestCommand read{0x28, 0, 0, 0, 0, 0, 0, 0, 1};
    CHECK(read.run(disk.units) == Status::good);
}
