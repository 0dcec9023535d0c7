// The codecs against golden bytes. Headers are written out from the figures of RFC 7143 11; the CRC vectors are its appendix A.4.
#include <doctest/doctest.h>

#include <string>

#include "services/iscsi/wire/digest.hpp"
#include "services/iscsi/wire/pdu.hpp"
#include "services/iscsi/wire/requests.hpp"
#include "services/iscsi/wire/responses.hpp"
#include "services/iscsi/wire/text_keys.hpp"

using namespace diskless;
using namespace diskless::iscsi::wire;

namespace {

Bhs from_hex(std::string_view hex) {
    Bhs bhs{};
    std::size_t digit = 0;
    for (const char c : hex) {
        if (c == ' ') continue;
        const unsigned value = static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
        bhs[digit / 2] |= static_cast<std::byte>(value << (digit % 2 == 0 ? 4 : 0));
        ++digit;
    }
    REQUIRE(digit == 96);
    return bhs;
}

template<class Value>
void both_ways(const Value& value, std::string_view hex) {
    const Bhs golden = from_hex(hex);
    Bhs encoded;
    value.encode(encoded);
    CHECK(encoded == golden);
    CHECK(Value::decode(golden) == value);
}

constexpr SequenceNumbers numbers{.stat_sn = 0x11121314, .exp_cmd_sn = 0x21222324, .max_cmd_sn = 0x31323334};

}  // namespace

TEST_CASE("requests, both ways") {
    both_ways(LoginRequest{.transit = true,
                           .current_stage = Stage::login_operational_negotiation,
                           .next_stage = Stage::full_feature_phase,
                           .isid = {{std::byte{0x80}, std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}}},
                           .tsih = 0x0607,
                           .initiator_task_tag = 0xa1a2a3a4,
                           .cid = 0xb1b2,
                           .cmd_sn = 0xc1c2c3c4,
                           .exp_stat_sn = 0xd1d2d3d4},
              "43 87 00 00 00 000000 800102030405 0607 a1a2a3a4 b1b2 0000 c1c2c3c4 d1d2d3d4 00000000000000000000000000000000");
    both_ways(ScsiCommand{.final = true,
                          .read = true,
                          .attributes = 1,
                          .lun = 0x0001000000000000,
                          .initiator_task_tag = 0xa1a2a3a4,
                          .expected_data_transfer_length = 512,
                          .cmd_sn = 5,
                          .exp_stat_sn = 6,
                          .cdb = {std::byte{0x28}, {}, {}, {}, {}, std::byte{9}}},
              "01 c1 0000 00 000000 0001000000000000 a1a2a3a4 00000200 00000005 00000006 28000000000900000000000000000000");
    both_ways(ScsiCommand{.immediate = true, .final = false, .write = true},
              "41 20 0000 00 000000 0000000000000000 00000000 00000000 00000000 00000000 00000000000000000000000000000000");
    both_ways(
        DataOut{
            .final = true, .lun = 1, .initiator_task_tag = 2, .target_transfer_tag = 3, .exp_stat_sn = 4, .data_sn = 5, .buffer_offset = 6},
        "05 80 0000 00 000000 0000000000000001 00000002 00000003 00000000 00000004 00000000 00000005 00000006 00000000");
    both_ways(NopOut{.lun = 1, .initiator_task_tag = 2, .target_transfer_tag = 3, .cmd_sn = 4, .exp_stat_sn = 5},
              "40 80 0000 00 000000 0000000000000001 00000002 00000003 00000004 00000005 00000000000000000000000000000000");
    both_ways(TaskManagementRequest{.function = TaskFunction::logical_unit_reset,
                                    .lun = 1,
                                    .initiator_task_tag = 2,
                                    .referenced_task_tag = 3,
                                    .cmd_sn = 4,
                                    .exp_stat_sn = 5,
                                    .ref_cmd_sn = 6,
                                    .exp_data_sn = 7},
              "42 85 0000 00 000000 0000000000000001 00000002 00000003 00000004 00000005 00000006 00000007 0000000000000000");
    both_ways(
        TextRequest{
            .final = false, .continues = true, .lun = 1, .initiator_task_tag = 2, .target_transfer_tag = 3, .cmd_sn = 4, .exp_stat_sn = 5},
        "04 40 0000 00 000000 0000000000000001 00000002 00000003 00000004 00000005 00000000000000000000000000000000");
    both_ways(LogoutRequest{.reason = LogoutReason::close_connection, .initiator_task_tag = 2, .cid = 3, .cmd_sn = 4, .exp_stat_sn = 5},
              "46 81 0000 00 000000 0000000000000000 00000002 0003 0000 00000004 00000005 00000000000000000000000000000000");
}

TEST_CASE("responses, both ways") {
    both_ways(LoginResponse{.transit = true,
                            .current_stage = Stage::security_negotiation,
                            .next_stage = Stage::login_operational_negotiation,
                            .isid = {{std::byte{0x40}}},
                            .tsih = 7,
                            .initiator_task_tag = 8,
                            .numbers = numbers,
                            .status = LoginStatus::target_not_found},
              "23 81 00 00 00 000000 400000000000 0007 00000008 00000000 11121314 21222324 31323334 0203 0000 0000000000000000");
    both_ways(
        ScsiResponse{
            .residual = {.underflow = true, .count = 9}, .status = 2, .initiator_task_tag = 8, .numbers = numbers, .exp_data_sn = 3},
        "21 82 00 02 00 000000 0000000000000000 00000008 00000000 11121314 21222324 31323334 00000003 00000000 00000009");
    both_ways(DataIn{.final = true,
                     .has_status = true,
                     .residual = {.overflow = true, .count = 1},
                     .lun = 1,
                     .initiator_task_tag = 8,
                     .numbers = numbers,
                     .data_sn = 2,
                     .buffer_offset = 3},
              "25 85 00 00 00 000000 0000000000000001 00000008 ffffffff 11121314 21222324 31323334 00000002 00000003 00000001");
    both_ways(R2t{.lun = 1,
                  .initiator_task_tag = 8,
                  .target_transfer_tag = 9,
                  .numbers = numbers,
                  .r2t_sn = 2,
                  .buffer_offset = 3,
                  .desired_data_transfer_length = 4},
              "31 80 0000 00 000000 0000000000000001 00000008 00000009 11121314 21222324 31323334 00000002 00000003 00000004");
    both_ways(NopIn{.lun = 1, .target_transfer_tag = 9, .numbers = numbers},
              "20 80 0000 00 000000 0000000000000001 ffffffff 00000009 11121314 21222324 31323334 000000000000000000000000");
    both_ways(TaskManagementResponse{.response = TaskFunctionResponse::function_not_supported, .initiator_task_tag = 8, .numbers = numbers},
              "22 80 05 00 00 000000 0000000000000000 00000008 00000000 11121314 21222324 31323334 000000000000000000000000");
    both_ways(
        TextResponse{.final = false, .continues = true, .lun = 1, .initiator_task_tag = 8, .target_transfer_tag = 9, .numbers = numbers},
        "24 40 0000 00 000000 0000000000000001 00000008 00000009 11121314 21222324 31323334 000000000000000000000000");
    both_ways(LogoutResponse{.response = LogoutResponseCode::cid_not_found,
                             .initiator_task_tag = 8,
                             .numbers = numbers,
                             .time2wait_s = 2,
                             .time2retain_s = 3},
              "26 80 01 00 00 000000 0000000000000000 00000008 00000000 11121314 21222324 31323334 00000000 0002 0003 00000000");
    both_ways(Reject{.reason = RejectReason::protocol_error, .numbers = numbers},
              "3f 80 04 00 00 000000 0000000000000000 ffffffff 00000000 11121314 21222324 31323334 000000000000000000000000");
    both_ways(AsyncMessage{.event = AsyncEvent::logout_request, .numbers = numbers, .parameter3 = 5},
              "32 80 0000 00 000000 0000000000000000 ffffffff 00000000 11121314 21222324 31323334 01 00 0000 0000 0005 00000000");
}

TEST_CASE("CRC32C: the vectors of RFC 7143 A.4") {
    const auto digest = [](const std::array<std::byte, 32>& bytes) {
        Crc32c crc;
        crc.add(ByteSpan{bytes}.first(5));
        crc.add(ByteSpan{bytes}.subspan(5));
        std::array<std::byte, 4> four{};
        crc.store(four);
        CHECK(crc.matches(four));
        four[3] ^= std::byte{1};
        CHECK_FALSE(crc.matches(four));
        return crc.value();
    };
    std::array<std::byte, 32> bytes{};
    CHECK(digest(bytes) == 0x8a9136aa);  // aa 36 91 8a on the wire
    bytes.fill(std::byte{0xff});
    CHECK(digest(bytes) == 0x62a8ab43);
    for (unsigned at = 0; at < 32; ++at) bytes[at] = static_cast<std::byte>(at);
    CHECK(digest(bytes) == 0x46dd794e);
    for (unsigned at = 0; at < 32; ++at) bytes[at] = static_cast<std::byte>(31 - at);
    CHECK(digest(bytes) == 0x113fdb5c);
    Crc32c crc;
    std::array<std::byte, 4> four{};
    crc.add(std::array<std::byte, 32>{});
    crc.store(four);
    CHECK(four == std::array{std::byte{0xaa}, std::byte{0x36}, std::byte{0x91}, std::byte{0x8a}});
}

TEST_CASE("layout: lengths with and without digests, and limits") {
    Bhs bhs{};
    set_data_segment_length(bhs, 5);
    bhs[4] = std::byte{2};
    CHECK(*layout_of(bhs, {}, 8192) == PduLayout{.ahs_bytes = 8, .data_bytes = 5, .padding_bytes = 3});
    CHECK(layout_of(bhs, {.header = true, .data = true}, 8192)->total_bytes() == 48 + 8 + 4 + 8 + 4);
    CHECK_FALSE(layout_of(bhs, {}, 4));
    bhs[4] = std::byte{67};
    CHECK_FALSE(layout_of(bhs, {}, 8192));
    set_data_segment_length(bhs, 0);
    bhs[4] = std::byte{0};
    CHECK(layout_of(bhs, {.data = true}, 8192)->total_bytes() == 48);  // no data, no data digest
}

TEST_CASE("additional header segments") {
    const auto ahs = [](std::initializer_list<int> values) {
        std::vector<std::byte> bytes;
        for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
        return bytes;
    };
    const auto extended = ahs({0, 5, 1, 0, 0xa, 0xb, 0xc, 0xd});
    const auto found = additional_headers(extended);
    REQUIRE(found);
    CHECK(found->extended_cdb.size() == 4);
    CHECK(found->extended_cdb[0] == std::byte{0xa});
    const auto bidirectional = ahs({0, 5, 2, 0, 0, 0, 2, 0});
    CHECK(additional_headers(bidirectional)->bidirectional_read_length == 512u);
    CHECK_FALSE(additional_headers(ahs({0, 9, 1, 0, 1, 2, 3, 4})));  // longer than what is there
    CHECK_FALSE(additional_headers(ahs({0, 0, 1, 0})));
    CHECK_FALSE(additional_headers(ahs({0, 5, 7, 0, 1, 2, 3, 4})));
}

TEST_CASE("LUN fields") {
    CHECK(flat_lun(0) == 0);
    CHECK(flat_lun(0x0005000000000000) == 5);
    CHECK(flat_lun(0x4105000000000000) == 0x105);
    CHECK_FALSE(flat_lun(0x0105000000000000));  // another bus
    CHECK_FALSE(flat_lun(0x8005000000000000));
    CHECK_FALSE(flat_lun(0x0005000100000000));  // a second level
    for (const std::uint16_t lun : std::initializer_list<std::uint16_t>{0, 1, 255, 256, 16383}) CHECK(flat_lun(lun_field(lun)) == lun);
}

TEST_CASE("text: keys and values as they are, malformed text refused") {
    using namespace std::string_literals;
    const std::string two = "A=1\0Bc=x=y\0\0"s;
    const auto keys = parse_text(two);
    REQUIRE(keys);
    CHECK(*keys == std::vector<TextKey>{{"A", "1"}, {"Bc", "x=y"}});
    CHECK(parse_text("")->empty());
    CHECK(parse_text("Last=1")->size() == 1);  // some initiators forget the last null
    CHECK(parse_text(std::string{"A=1\0A=2\0", 8}).error().reason == "text_key_twice");
    CHECK_FALSE(parse_text("novalue"));
    CHECK_FALSE(parse_text("=1"));
    CHECK_FALSE(parse_text("bad key=1"));
    CHECK_FALSE(parse_text(std::string(64, 'k') + "=1"));
    CHECK(parse_text(std::string(63, 'k') + "=1"));
    CHECK_FALSE(parse_text("K=" + std::string(max_value_bytes + 1, 'v')));
    std::string many;
    for (unsigned at = 0; at <= max_keys; ++at) append_text(many, "K" + std::to_string(at), "");
    CHECK(parse_text(many).error().reason == "text_too_many_keys");
}

TEST_CASE("numbers in text") {
    CHECK(parse_number("0") == 0u);
    CHECK(parse_number("262144") == 262144u);
    CHECK(parse_number("0x200") == 512u);
    for (const char* wrong : {"", "-1", "12k", "0x", "4294967296", " 1"}) CHECK_FALSE(parse_number(wrong));
}
