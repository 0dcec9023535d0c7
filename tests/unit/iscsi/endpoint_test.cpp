// The whole machine by scripted dialogue: the same bytes in every portion, and cut at every byte.
#include <doctest/doctest.h>

#include "tests/support/endpoint_lab.hpp"
#include "tests/support/raw_initiator.hpp"

using namespace diskless;
using namespace diskless::test;

namespace {

struct Script {
    Bytes bytes;
    std::vector<std::size_t> ends;  // of each PDU

    void add(const Pdu& pdu, wire::Digests digests = {}) {
        const Bytes encoded = encode(pdu, digests);
        bytes.insert(bytes.end(), encoded.begin(), encoded.end());
        ends.push_back(bytes.size());
    }
};

/// In portions, but never past the point where a real initiator would wait for the R2T.
void play(EndpointLab& lab, const Script& script, ByteSpan bytes, std::size_t portion) {
    const std::size_t r2t = script.ends[3];
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t limit = at < r2t ? std::min(r2t, bytes.size()) : bytes.size();
        const std::size_t taken = std::min(portion, limit - at);
        lab.feed(bytes.subspan(at, taken));
        at += taken;
    }
}

const Keys login_keys{
    {"InitiatorName", "iqn.x"}, {"TargetName", "iqn.t:d"}, {"SessionType", "Normal"}, {"InitialR2T", "No"}, {"FirstBurstLength", "2048"}};

wire::LoginRequest login_request() {
    return {.transit = true,
            .current_stage = wire::Stage::login_operational_negotiation,
            .next_stage = wire::Stage::full_feature_phase,
            .cmd_sn = 1};
}

wire::ScsiCommand command(std::uint32_t cmd_sn, const std::vector<std::uint8_t>& cdb, std::uint32_t expected, bool read, bool write) {
    wire::ScsiCommand command{
        .read = read, .write = write, .initiator_task_tag = cmd_sn, .expected_data_transfer_length = expected, .cmd_sn = cmd_sn};
    std::ranges::transform(cdb, command.cdb.begin(), [](std::uint8_t byte) { return static_cast<std::byte>(byte); });
    return command;
}

/// Login; a write of 4 KiB by immediate, unsolicited and solicited data; the read of what was written.
Script login_write_read(wire::Digests digests) {
    Script script;
    Keys keys = login_keys;
    keys.emplace_back("HeaderDigest", digests.header ? "CRC32C" : "None");
    keys.emplace_back("DataDigest", digests.data ? "CRC32C" : "None");
    script.add(make_pdu(login_request(), text_segment(keys)));
    script.add(make_pdu(command(1, {0, 0, 0, 0, 0, 0}, 0, false, false)), digests);
    const Bytes data = pattern(4096, 21);
    const auto part = [&](std::ptrdiff_t from, std::ptrdiff_t to) { return Bytes{data.begin() + from, data.begin() + to}; };
    auto write = command(2, write_10(8, 8), 4096, false, true);
    write.final = false;
    script.add(make_pdu(write, part(0, 512)), digests);
    script.add(make_pdu(wire::DataOut{.initiator_task_tag = 2, .data_sn = 0, .buffer_offset = 512}, part(512, 2048)), digests);
    // The transfer tag is the machine's choice: the second task of the session, its first R2T.
    script.add(
        make_pdu(
            wire::DataOut{.final = false, .initiator_task_tag = 2, .target_transfer_tag = 1u << 16, .data_sn = 0, .buffer_offset = 2048},
            part(2048, 3072)),
        digests);
    script.add(make_pdu(wire::DataOut{.initiator_task_tag = 2, .target_transfer_tag = 1u << 16, .data_sn = 1, .buffer_offset = 3072},
                        part(3072, 4096)),
               digests);
    script.add(make_pdu(command(3, read_10(8, 8), 4096, true, false)), digests);
    script.add(make_pdu(wire::LogoutRequest{.initiator_task_tag = 4, .cmd_sn = 4}), digests);
    return script;
}

}  // namespace

TEST_CASE("the same dialogue, whatever portions the bytes arrive in") {
    for (const wire::Digests digests : {wire::Digests{}, wire::Digests{.header = true, .data = true}}) {
        const Script script = login_write_read(digests);
        for (const std::size_t portion : {script.bytes.size(), std::size_t{1}, std::size_t{7}, std::size_t{48}, std::size_t{1000}}) {
            CAPTURE(portion);
            EndpointLab lab;
            play(lab, script, script.bytes, portion);
            CHECK(lab.endpoint.finished());
            CHECK(lab.endpoint.failure() == "");
            const Bytes disk{lab.disk->contents().begin() + 4096, lab.disk->contents().begin() + 8192};
            CHECK(disk == pattern(4096, 21));
            const Bytes output = lab.take_output();
            CHECK(lab.buffers.used_bytes() == 0);
            // Acknowledgements tell how far the target had read, so they may differ; the data may not.
            const auto found = std::ranges::search(output, disk);
            CHECK_FALSE(found.empty());
        }
    }
}

TEST_CASE("cut at every byte: nothing half done, nothing left behind") {
    const Script script = login_write_read({});
    const std::size_t written_from = script.ends[5];
    for (std::size_t cut = 0; cut < script.bytes.size(); ++cut) {
        CAPTURE(cut);
        EndpointLab lab;
        play(lab, script, ByteSpan{script.bytes}.first(cut), script.bytes.size());
        CHECK_FALSE(lab.endpoint.finished());
        const bool written = lab.disk->contents()[4096 + 4] != std::byte{0} || lab.disk->contents()[4096 + 5] != std::byte{0};
        CHECK(written == (cut >= written_from));
    }
}

TEST_CASE("one bit wrong anywhere under digests: never a wrong byte on the disk") {
    const wire::Digests digests{.header = true, .data = true};
    const Script script = login_write_read(digests);
    const Bytes right = pattern(4096, 21);
    for (std::size_t at = script.ends[0]; at < script.ends[5]; ++at) {
        CAPTURE(at);
        Bytes bytes = script.bytes;
        bytes[at] ^= std::byte{0x10};
        EndpointLab lab;
        play(lab, script, bytes, bytes.size());
        const Bytes disk{lab.disk->contents().begin() + 4096, lab.disk->contents().begin() + 8192};
        const bool untouched = std::ranges::all_of(disk, [](std::byte byte) { return byte == std::byte{0}; });
        CHECK((untouched || disk == right));
    }
}

TEST_CASE("a long answer to SendTargets comes in pieces, each asked for") {
    EndpointLab lab;
    lab.feed(encode(make_pdu(login_request(), text_segment({{"InitiatorName", "iqn.x"}, {"SessionType", "Discovery"}}))));
    (void)lab.take_output();
    std::uint32_t tag = wire::reserved_tag;
    std::size_t total = 0;
    unsigned pieces = 0;
    for (std::uint32_t cmd_sn = 1;; ++cmd_sn) {
        lab.feed(encode(make_pdu(wire::TextRequest{.initiator_task_tag = 5, .target_transfer_tag = tag, .cmd_sn = cmd_sn},
                                 tag == wire::reserved_tag ? text_segment({{"SendTargets", "All"}}) : Bytes{})));
        const Bytes output = lab.take_output();
        REQUIRE(wire::opcode_of(output) == wire::Opcode::text_response);
        const auto response = wire::TextResponse::decode(output);
        total += wire::data_segment_length_of(output);
        ++pieces;
        CHECK(wire::data_segment_length_of(output) <= 8192);
        if (response.final) break;
        CHECK(response.continues);
        tag = response.target_transfer_tag;
    }
    CHECK(total == 20000);
    CHECK(pieces == 3);
}

TEST_CASE("lengths beyond the limits end the connection") {
    SUBCASE("a login of more than 8192 bytes") {
        EndpointLab lab;
        Pdu pdu = make_pdu(login_request(), Bytes(8193));
        lab.feed(encode(pdu));
        CHECK(lab.endpoint.finished());
        CHECK(lab.endpoint.failure() == "data_segment_too_long");
    }
    SUBCASE("a data segment of more than we have declared") {
        EndpointLab lab;
        lab.feed(encode(make_pdu(login_request(), text_segment(login_keys))));
        Pdu pdu = make_pdu(wire::NopOut{.initiator_task_tag = 1, .cmd_sn = 1});
        wire::set_data_segment_length(pdu.bhs, iscsi::Limits{}.max_recv_data_segment_length + 1);
        lab.feed(encode(pdu));
        CHECK(lab.endpoint.finished());
    }
}

TEST_CASE("commands with data that may not come: failed, their data swallowed, the session lives") {
    EndpointLab lab;
    lab.feed(encode(make_pdu(login_request(), text_segment(login_keys))));
    (void)lab.take_output();
    lab.feed(encode(make_pdu(command(1, {0, 0, 0, 0, 0, 0}, 0, false, false))));
    (void)lab.take_output();
    lab.feed(encode(make_pdu(command(2, write_10(0, 8), 4096, false, true), Bytes(2049))));  // beyond FirstBurstLength
    Bytes output = lab.take_output();
    REQUIRE(wire::opcode_of(output) == wire::Opcode::scsi_response);
    CHECK(wire::ScsiResponse::decode(output).status == 0x02);
    auto both = command(3, read_10(0, 1), 512, true, true);
    lab.feed(encode(make_pdu(both)));  // bidirectional
    CHECK(wire::ScsiResponse::decode(lab.take_output()).status == 0x02);
    Pdu extended = make_pdu(command(4, {0, 0, 0, 0, 0, 0}, 0, false, false));
    extended.ahs = Bytes(8);
    extended.ahs[1] = std::byte{5};
    extended.ahs[2] = std::byte{1};
    lab.feed(encode(extended));  // an extended CDB is taken; the rest of it means nothing to TEST UNIT READY
    CHECK(wire::ScsiResponse::decode(lab.take_output()).status == 0x00);
    Pdu malformed = make_pdu(command(5, {0, 0, 0, 0, 0, 0}, 0, false, false));
    malformed.ahs = Bytes(8, std::byte{0xff});
    lab.feed(encode(malformed));
    CHECK(wire::opcode_of(lab.take_output()) == wire::Opcode::reject);
    lab.feed(encode(make_pdu(command(6, {0, 0, 0, 0, 0, 0}, 0, false, false))));
    CHECK(wire::ScsiResponse::decode(lab.take_output()).status == 0x00);
}
