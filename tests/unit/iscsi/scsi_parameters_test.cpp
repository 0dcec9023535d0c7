// Parameter data byte by byte: what initiators read before they trust a disk. Golden bytes follow SPC-4 and SBC-3; tables and pages named
// at each.
#include <doctest/doctest.h>

#include "scsi_disk.hpp"
#include "services/iscsi/scsi/sense.hpp"

using namespace diskless;
using namespace diskless::scsi;
using namespace diskless::scsi::test;

namespace {

std::uint8_t at(ByteSpan bytes, std::size_t i) { return load_be<std::uint8_t>(bytes, i); }

std::vector<int> ints(ByteSpan bytes) {
    std::vector<int> out;
    for (const std::byte b : bytes) out.push_back(std::to_integer<int>(b));
    return out;
}

}  // namespace

TEST_CASE("standard INQUIRY") {
    Disk disk;
    TestCommand inquiry{0x12, 0, 0, 0, 255};
    REQUIRE(inquiry.run(disk.units) == Status::good);
    const ByteSpan data = inquiry.data_in();
    REQUIRE(data.size() == 96);
    CHECK(ints(data.first(8)) == std::vector<int>{0x00, 0x00, 0x06, 0x12, 91, 0x18, 0x00, 0x02});
    CHECK(as_text(data.subspan(8, 28)) == "DISKLESSVIRTUAL-DISK    0001");
    CHECK(ints(data.subspan(58, 8)) == std::vector<int>{0x00, 0xa0, 0x09, 0x60, 0x04, 0x60, 0x04, 0xc0});

    TestCommand short_one{0x12, 0, 0, 0, 36};
    CHECK(short_one.run(disk.units) == Status::good);
    CHECK(short_one.data_in().size() == 36);
    TestCommand page_without_evpd{0x12, 0, 0x83, 0, 255};
    CHECK(page_without_evpd.run(disk.units) == Status::check_condition);
    CHECK(page_without_evpd.sense.asc_ascq == asc::invalid_field_in_cdb);
}

TEST_CASE("vital product data pages: the list is ascending and every page in it answers") {
    Disk disk;
    TestCommand list{0x12, 1, 0, 0, 255};
    REQUIRE(list.run(disk.units) == Status::good);
    CHECK(ints(list.data_in()) == std::vector<int>{0, 0, 0, 7, 0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2});
    for (const std::byte page : list.data_in().subspan(4)) {
        TestCommand command{0x12, 1, std::to_integer<int>(page), 2, 0};
        REQUIRE(command.run(disk.units) == Status::good);
        CHECK(at(command.data_in(), 1) == std::to_integer<unsigned>(page));
        CHECK(load_be<std::uint16_t>(command.data_in(), 2) + 4u == command.data_in().size());
    }
    TestCommand unknown{0x12, 1, 0xc0, 0, 255};
    CHECK(unknown.run(disk.units) == Status::check_condition);
}

TEST_CASE("VPD B0 and B2 agree with the device") {
    Disk thin;
    TestCommand limits{0x12, 1, 0xb0, 0, 255};
    REQUIRE(limits.run(thin.units) == Status::good);
    CHECK(limits.data_in().size() == 64);
    CHECK(load_be<std::uint16_t>(limits.data_in(), 6) == 8);      // granularity: 4096 / 512
    CHECK(load_be<std::uint32_t>(limits.data_in(), 8) == 32768);  // 16 MiB
    CHECK(load_be<std::uint32_t>(limits.data_in(), 20) == 0xffffffff);
    TestCommand provisioning{0x12, 1, 0xb2, 0, 255};
    REQUIRE(provisioning.run(thin.units) == Status::good);
    CHECK(ints(provisioning.data_in()) == std::vector<int>{0, 0xb2, 0, 4, 0, 0xe4, 2, 0});

    Disk thick{{.size_bytes = 1 << 20}};
    TestCommand thick_limits{0x12, 1, 0xb0, 0, 255};
    REQUIRE(thick_limits.run(thick.units) == Status::good);
    CHECK(load_be<std::uint32_t>(thick_limits.data_in(), 20) == 0);
    TestCommand unmap{0x42, 0, 0, 0, 0, 0, 0, 0, 24};
    CHECK(unmap.run(thick.units) == Status::check_condition);
}

TEST_CASE("VPD 83: the designators Linux, Windows and ESXi look for") {
    Disk disk;
    TestCommand command{0x12, 1, 0x83, 1, 0};
    REQUIRE(command.run(disk.units) == Status::good);
    std::vector<int> types;
    ByteReader reader{command.data_in().subspan(4)};
    while (reader.remaining() > 0) {
        reader.skip(1);
        types.push_back(reader.u8() & 0x3f);
        reader.skip(1);
        reader.skip(reader.u8());
        REQUIRE(reader.ok());
    }
    CHECK(types == std::vector<int>{0x03, 0x01, 0x08, 0x18, 0x14, 0x15});
    CHECK(as_text(command.data_in()).contains("iqn.2026-11.lan.lab:desk-01,L,0x0000"));
    // The same disk has the same name after a restart, another one another.
    CHECK(serial_number({.target_name = "iqn.2026-11.lan.lab:desk-01", .lun = 0}) == serial_number(disk.unit->identity()));
    CHECK(serial_number({.target_name = "iqn.2026-11.lan.lab:desk-01", .lun = 1}) != serial_number(disk.unit->identity()));
}

TEST_CASE("READ CAPACITY 10 and 16") {
    Disk disk;
    TestCommand ten{0x25};
    REQUIRE(ten.run(disk.units) == Status::good);
    CHECK(ints(ten.data_in()) == std::vector<int>{0, 0, 0x07, 0xff, 0, 0, 2, 0});
    TestCommand sixteen{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32};
    REQUIRE(sixteen.run(disk.units) == Status::good);
    CHECK(sixteen.data_in().size() == 32);
    CHECK(load_be<std::uint64_t>(sixteen.data_in(), 0) == 0x7ff);
    CHECK(ints(sixteen.data_in().subspan(8, 8)) == std::vector<int>{0, 0, 2, 0, 0, 3, 0xc0, 0});
}

TEST_CASE("MODE SENSE 6 and 10: lengths agree, write protection shows, wrong pages are refused") {
    Disk disk;
    TestCommand six{0x1a, 0, 0x3f, 0, 255};
    REQUIRE(six.run(disk.units) == Status::good);
    CHECK(at(six.data_in(), 0) + 1u == six.data_in().size());
    CHECK(at(six.data_in(), 2) == 0x10);  // DPOFUA
    CHECK(at(six.data_in(), 3) == 8);
    TestCommand caching{0x1a, 0x08, 0x08, 0, 255};
    REQUIRE(caching.run(disk.units) == Status::good);
    CHECK(ints(caching.data_in().first(7)) == std::vector<int>{23, 0, 0x10, 0, 0x08, 18, 0x04});
    TestCommand ten{0x5a, 0x18, 0x3f, 0, 0, 0, 0, 1, 0};
    REQUIRE(ten.run(disk.units) == Status::good);
    CHECK(load_be<std::uint16_t>(ten.data_in(), 0) + 2u == ten.data_in().size());
    TestCommand saved{0x1a, 0, 0xc8, 0, 255};
    CHECK(saved.run(disk.units) == Status::check_condition);
    CHECK(saved.sense.asc_ascq == asc::saving_parameters_not_supported);
    TestCommand unknown{0x1a, 0, 0x2a, 0, 255};
    CHECK(unknown.run(disk.units) == Status::check_condition);

    Disk read_only{{.size_bytes = 1 << 20, .read_only = true}};
    TestCommand protect{0x1a, 0x08, 0x0a, 0, 255};
    REQUIRE(protect.run(read_only.units) == Status::good);
    CHECK(at(protect.data_in(), 2) == 0x90);
}

TEST_CASE("REPORT SUPPORTED OPERATION CODES lists exactly the table, and each entry answers for itself") {
    Disk disk;
    TestCommand all{0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x20, 0};
    REQUIRE(all.run(disk.units) == Status::good);
    CHECK(load_be<std::uint32_t>(all.data_in(), 0) == all_commands().size() * 8);
    for (const CommandEntry& entry : all_commands()) {
        CAPTURE(int{entry.opcode});
        const int option = entry.service_action ? 2 : 1;
        TestCommand one{0xa3, 0x0c, option, entry.opcode, 0, entry.service_action.value_or(0), 0, 0, 1, 0};
        REQUIRE(one.run(disk.units) == Status::good);
        CHECK(at(one.data_in(), 1) == 3);
        CHECK(load_be<std::uint16_t>(one.data_in(), 2) == entry.cdb_bytes);
        CHECK(at(one.data_in(), 4) == entry.opcode);
        TestCommand wrong_option{0xa3, 0x0c, entry.service_action ? 1 : 2, entry.opcode, 0, 0, 0, 0, 1, 0};
        CHECK(wrong_option.run(disk.units) == Status::check_condition);
    }
    TestCommand absent{0xa3, 0x0c, 1, 0xc7, 0, 0, 0, 0, 1, 0};
    REQUIRE(absent.run(disk.units) == Status::good);
    CHECK(at(absent.data_in(), 1) == 1);
}

TEST_CASE("REPORT LUNS, and a LUN that is not there") {
    Disk disk;
    TestCommand luns{0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    REQUIRE(luns.run(disk.units) == Status::good);
    CHECK(ints(luns.data_in()) == std::vector<int>{0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    TestCommand elsewhere{0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    elsewhere.lun = 9;
    CHECK(elsewhere.run(disk.units) == Status::good);
    TestCommand inquiry{0x12, 0, 0, 0, 255};
    inquiry.lun = 9;
    REQUIRE(inquiry.run(disk.units) == Status::good);
    CHECK(at(inquiry.data_in(), 0) == 0x7f);
    TestCommand ready{0x00};
    ready.lun = 9;
    CHECK(ready.run(disk.units) == Status::check_condition);
    CHECK(ready.sense == Sense{.key = SenseKey::illegal_request, .asc_ascq = asc::logical_unit_not_supported});

    std::array<std::byte, 8> field{};
    for (const std::uint64_t lun : {0u, 1u, 255u, 256u, 16383u}) {
        LunMap::encode_lun(field, lun);
        CHECK(LunMap::decode_lun(field) == lun);
    }
    field[2] = std::byte{1};
    CHECK_FALSE(LunMap::decode_lun(field));
}

TEST_CASE("unit attentions: once for each nexus, and INQUIRY, REPORT LUNS and REQUEST SENSE pass them") {
    Disk disk;
    const ITNexus one{.id = 1};
    const ITNexus two{.id = 2};
    disk.units.attach(one);
    disk.units.attach(two);
    TestCommand inquiry({0x12, 0, 0, 0, 36}, &one);
    CHECK(inquiry.run(disk.units) == Status::good);
    TestCommand first({0x00}, &one);
    CHECK(first.run(disk.units) == Status::check_condition);
    CHECK(first.sense == Sense{.key = SenseKey::unit_attention, .asc_ascq = asc::power_on_or_reset});
    TestCommand second({0x00}, &one);
    CHECK(second.run(disk.units) == Status::good);
    TestCommand sense({0x03, 0, 0, 0, 18}, &two);
    REQUIRE(sense.run(disk.units) == Status::good);
    CHECK(at(sense.data_in(), 2) == 0x06);
    CHECK(at(sense.data_in(), 12) == 0x29);
    TestCommand other({0x00}, &two);
    CHECK(other.run(disk.units) == Status::good);
    // A reset tells everybody, and so does a changed list of units.
    CHECK(disk.units.reset_unit(0));
    TestCommand mine({0x00}, &one);
    CHECK(mine.run(disk.units) == Status::check_condition);
    CHECK(mine.sense.asc_ascq == asc::bus_device_reset_function_occurred);
    TestCommand theirs({0x00}, &two);
    CHECK(theirs.run(disk.units) == Status::check_condition);
    disk.units.replace({disk.unit, std::make_shared<LogicalUnit>(disk.memory, Identity{.target_name = "t", .lun = 1})});
    TestCommand changed({0x00}, &one);
    CHECK(changed.run(disk.units) == Status::check_condition);
    CHECK(changed.sense.asc_ascq == asc::reported_luns_data_has_changed);
    disk.units.detach(one);
    disk.units.detach(two);
}

// SPC-4 4.5.3 and 4.5.2
TEST_CASE("sense data, fixed and as descriptors") {
    const Sense sense{
        .key = SenseKey::illegal_request, .asc_ascq = 0x2100, .specific = 0xc00002, .information = 0x1234, .has_information = true};
    CHECK(ints(encode_sense(sense).span()) == std::vector<int>{0xf0, 0, 5, 0, 0, 0x12, 0x34, 10, 0, 0, 0, 0, 0x21, 0, 0, 0xc0, 0, 2});
    CHECK(ints(encode_sense(sense, true).span()) ==
          std::vector<int>{0x72, 5, 0x21, 0, 0, 0, 0, 20, 0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 2, 6, 0, 0, 0xc0, 0, 2, 0});
}
