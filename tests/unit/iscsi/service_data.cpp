// Reads and writes through the real service over loopback: every way in which data can travel.
#include <doctest/doctest.h>

#include "tests/unit/iscsi/serving.hpp"

using namespace diskless;
using namespace diskless::test;

namespace {

constexpr std::uint8_t good = 0x00;
constexpr std::uint8_t check_condition = 0x02;

Bytes first_half_kib(const Bytes& bytes) { return {bytes.begin(), bytes.begin() + 512}; }

}  // namespace

TEST_CASE("what is written by R2T is read back, in all sizes") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator, {{"InitialR2T", "Yes"}, {"ImmediateData", "No"}}).status == wire::LoginStatus::success);
    initiator.clear_attention();
    unsigned seed = 0;
    for (const std::size_t blocks : {1u, 2u, 15u, 16u, 17u, 64u, 512u, 2048u, 4096u}) {
        CAPTURE(blocks);
        const Bytes data = pattern(blocks * block_bytes, ++seed);
        const auto written = initiator.write(seed, data);
        CHECK(written.status == good);
        CHECK(written.residual == wire::Residual{});
        CHECK(written.r2ts >= 1);
        const auto read = initiator.read(seed, static_cast<std::uint32_t>(blocks));
        CHECK(read.status == good);
        CHECK(read.data == data);
        CHECK(read.collapsed);
    }
}

TEST_CASE("immediate and unsolicited data, in both settings of InitialR2T") {
    Serving serving;
    for (const bool initial_r2t : {true, false}) {
        CAPTURE(initial_r2t);
        RawInitiator initiator{serving.port()};
        REQUIRE(
            serving.login(initiator, {{"InitialR2T", initial_r2t ? "Yes" : "No"}, {"ImmediateData", "Yes"}, {"FirstBurstLength", "65536"}})
                .status == wire::LoginStatus::success);
        initiator.clear_attention();
        const Bytes data = pattern(200 * 1024, initial_r2t ? 3 : 4);
        for (const std::size_t immediate : {std::size_t{0}, std::size_t{512}, std::size_t{8192}}) {
            const std::size_t unsolicited = initial_r2t ? 0 : 65536 - immediate;
            CAPTURE(immediate);
            CHECK(initiator.write(0, data, immediate, unsolicited).status == good);
            CHECK(initiator.read(0, 400).data == data);
        }
    }
}

TEST_CASE("digests on header and data") {
    Serving serving;
    for (const auto& [header, data_digest] : {std::pair{"CRC32C", "None"}, std::pair{"None", "CRC32C"}, std::pair{"CRC32C", "CRC32C"}}) {
        CAPTURE(header);
        CAPTURE(data_digest);
        RawInitiator initiator{serving.port()};
        REQUIRE(serving.login(initiator, {{"HeaderDigest", header}, {"DataDigest", data_digest}}).status == wire::LoginStatus::success);
        initiator.clear_attention();
        const Bytes data = pattern(64 * 1024, 9);
        CHECK(initiator.write(100, data, 4096).status == good);
        CHECK(initiator.read(100, 128).data == data);
        CHECK(initiator.run(initiator.command({0x12, 0, 0, 0, 255, 0}, 255, true, false)).status == good);  // a length that needs padding
    }
}

TEST_CASE("a damaged data segment never ends in GOOD, and the session lives on") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator, {{"DataDigest", "CRC32C"}, {"ImmediateData", "No"}}).status == wire::LoginStatus::success);
    initiator.clear_attention();
    const Bytes data = pattern(512);
    const auto command = initiator.command(write_10(7, 1), 512, false, true);
    initiator.send(make_pdu(command));
    const auto r2t = initiator.receive();
    REQUIRE(r2t->opcode() == wire::Opcode::r2t);
    const wire::DataOut header{.initiator_task_tag = command.initiator_task_tag,
                               .target_transfer_tag = wire::R2t::decode(r2t->bhs).target_transfer_tag};
    Bytes bytes = encode(make_pdu(header, data), initiator.digests);
    bytes[100] ^= std::byte{1};
    initiator.send_bytes(bytes);
    const auto reject = initiator.receive();
    REQUIRE(reject->opcode() == wire::Opcode::reject);
    CHECK(wire::Reject::decode(reject->bhs).reason == wire::RejectReason::data_digest_error);
    const auto response = initiator.receive();
    REQUIRE(response->opcode() == wire::Opcode::scsi_response);
    CHECK(wire::ScsiResponse::decode(response->bhs).status == check_condition);
    CHECK(initiator.write(7, data).status == good);
}

TEST_CASE("a damaged header ends the connection") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator, {{"HeaderDigest", "CRC32C"}}).status == wire::LoginStatus::success);
    Bytes bytes = encode(make_pdu(initiator.command({0}, 0, false, false)), initiator.digests);
    bytes[20] ^= std::byte{1};
    initiator.send_bytes(bytes);
    CHECK(initiator.is_closed());
}

TEST_CASE("residuals: GOOD, the smaller amount moves, the difference is told") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == wire::LoginStatus::success);
    initiator.clear_attention();
    const Bytes disk = pattern(4096, 5);
    REQUIRE(initiator.write(0, disk, 4096).status == good);

    SUBCASE("the initiator expects more than a read gives") {
        const auto result = initiator.run(initiator.command(read_10(0, 1), 10000, true, false));
        CHECK(result.status == good);
        CHECK(result.data == first_half_kib(disk));
        CHECK_FALSE(result.collapsed);  // iPXE wants a Data-In with status to end exactly at the end of its buffer
        CHECK(result.residual == wire::Residual{.underflow = true, .count = 10000 - 512});
    }
    SUBCASE("it expects less") {
        const auto result = initiator.run(initiator.command(read_10(0, 1), 200, true, false));
        CHECK(result.status == good);
        CHECK(result.data == Bytes{disk.begin(), disk.begin() + 200});
        CHECK(result.residual == wire::Residual{.overflow = true, .count = 312});
    }
    SUBCASE("it expects nothing") {
        const auto result = initiator.run(initiator.command(read_10(0, 1), 0, false, false));
        CHECK(result.status == good);
        CHECK(result.data.empty());
        CHECK(result.residual == wire::Residual{.overflow = true, .count = 512});
    }
    SUBCASE("parameter data says how much there is") {
        const auto all = initiator.run(initiator.command({0x12, 0, 0, 0, 255, 0}, 255, true, false));
        CHECK(all.status == good);
        CHECK(all.residual == wire::Residual{.underflow = true, .count = static_cast<std::uint32_t>(255 - all.data.size())});
        const auto cut = initiator.run(initiator.command({0x12, 0, 0, 0, 255, 0}, 5, true, false));
        CHECK(cut.data == Bytes{all.data.begin(), all.data.begin() + 5});
        CHECK(cut.residual == wire::Residual{.overflow = true, .count = static_cast<std::uint32_t>(all.data.size() - 5)});
    }
    SUBCASE("a write of one block where the initiator has more") {
        const Bytes data = pattern(2048, 6);
        const auto result = initiator.run(initiator.command(write_10(0, 1), 2048, false, true), data, 2048);
        CHECK(result.status == good);
        CHECK(result.residual == wire::Residual{.underflow = true, .count = 1536});
        CHECK(initiator.read(0, 1).data == first_half_kib(data));
        CHECK(initiator.read(1, 1).data == Bytes{disk.begin() + 512, disk.begin() + 1024});
    }
    SUBCASE("a write of two blocks where the initiator has one") {
        const Bytes data = pattern(512, 6);
        const auto result = initiator.run(initiator.command(write_10(0, 2), 512, false, true), data, 512);
        CHECK(result.status == good);
        CHECK(result.residual == wire::Residual{.overflow = true, .count = 512});
        CHECK(initiator.read(0, 1).data == data);
        CHECK(initiator.read(1, 1).data == Bytes{disk.begin() + 512, disk.begin() + 1024});
    }
    SUBCASE("an error moves nothing") {
        const auto result = initiator.run(initiator.command(read_10(0xfffffff0, 1), 512, true, false));
        CHECK(result.status == check_condition);
        REQUIRE(result.sense.size() >= 14);
        CHECK((result.sense[2] & std::byte{0xf}) == std::byte{0x05});
        CHECK(result.sense[12] == std::byte{0x21});
        CHECK(result.residual == wire::Residual{.underflow = true, .count = 512});
    }
}

TEST_CASE("Data-In respects the peer's MaxRecvDataSegmentLength and MaxBurstLength") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator, {{"MaxRecvDataSegmentLength", "512"}, {"MaxBurstLength", "2048"}}).status ==
            wire::LoginStatus::success);
    initiator.clear_attention();
    initiator.send(make_pdu(initiator.command(read_10(0, 16), 8192, true, false)));
    for (unsigned sn = 0; sn < 16; ++sn) {
        const auto pdu = initiator.receive();
        REQUIRE(pdu->opcode() == wire::Opcode::data_in);
        const auto header = wire::DataIn::decode(pdu->bhs);
        CHECK(pdu->data.size() == 512);
        CHECK(header.data_sn == sn);
        CHECK(header.final == (sn % 4 == 3));
        CHECK(header.has_status == (sn == 15));
    }
}

TEST_CASE("many commands in flight at once all come back right") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == wire::LoginStatus::success);
    initiator.clear_attention();
    const Bytes disk = pattern(128 * 4096, 11);
    for (unsigned at = 0; at < 128; ++at) {
        const Bytes piece{disk.begin() + at * 4096, disk.begin() + (at + 1) * 4096};
        initiator.send(make_pdu(initiator.command(write_10(at * 8, 8), 4096, false, true), piece));
    }
    for (unsigned at = 0; at < 128; ++at) REQUIRE(initiator.receive()->opcode() == wire::Opcode::scsi_response);
    std::map<std::uint32_t, unsigned> tags;
    for (unsigned at = 0; at < 128; ++at) {
        const auto command = initiator.command(read_10(at * 8, 8), 4096, true, false);
        tags[command.initiator_task_tag] = at;
        initiator.send(make_pdu(command));
    }
    for (unsigned at = 0; at < 128; ++at) {
        const auto pdu = initiator.receive();
        REQUIRE(pdu->opcode() == wire::Opcode::data_in);
        const unsigned which = tags.at(wire::initiator_task_tag_of(pdu->bhs));
        CHECK(pdu->data == Bytes{disk.begin() + which * 4096, disk.begin() + (which + 1) * 4096});
    }
}
