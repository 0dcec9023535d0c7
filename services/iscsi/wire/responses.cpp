#include "services/iscsi/wire/responses.hpp"

#include <algorithm>

#include "services/iscsi/wire/fields.hpp"

namespace diskless::iscsi::wire {
namespace {

constexpr unsigned overflow_bit = 0x04;
constexpr unsigned underflow_bit = 0x02;

unsigned residual_bits(const Residual& r) noexcept { return bit(r.overflow, overflow_bit) | bit(r.underflow, underflow_bit); }

Residual residual_of(ByteSpan bhs) noexcept {
    const unsigned flags = u8_at(bhs, 1);
    return {.overflow = (flags & overflow_bit) != 0, .underflow = (flags & underflow_bit) != 0, .count = u32_at(bhs, 44)};
}

}  // namespace

SequenceNumbers SequenceNumbers::decode(ByteSpan bhs) noexcept {
    return {.stat_sn = u32_at(bhs, 24), .exp_cmd_sn = u32_at(bhs, 28), .max_cmd_sn = u32_at(bhs, 32)};
}
void SequenceNumbers::encode(Bhs& bhs) const noexcept {
    store_be(bhs, 24, stat_sn);
    store_be(bhs, 28, exp_cmd_sn);
    store_be(bhs, 32, max_cmd_sn);
}

LoginResponse LoginResponse::decode(ByteSpan bhs) noexcept {
    LoginResponse r;
    const std::uint8_t flags = u8_at(bhs, 1);
    r.transit = (flags & 0x80) != 0;
    r.continues = (flags & 0x40) != 0;
    r.current_stage = static_cast<Stage>((flags >> 2) & 3);
    r.next_stage = static_cast<Stage>(flags & 3);
    r.version_max = u8_at(bhs, 2);
    r.version_active = u8_at(bhs, 3);
    std::ranges::copy(bhs.subspan(8, 6), r.isid.octets.begin());
    r.tsih = load_be<std::uint16_t>(bhs, 14);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.numbers = SequenceNumbers::decode(bhs);
    r.status = static_cast<LoginStatus>(load_be<std::uint16_t>(bhs, 36));
    return r;
}
void LoginResponse::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::login_response, false);
    put_u8(bhs, 1,
           bit(transit, 0x80) | bit(continues, 0x40) | stage_bits(current_stage, transit ? next_stage : Stage::security_negotiation));
    put_u8(bhs, 2, version_max);
    put_u8(bhs, 3, version_active);
    std::ranges::copy(isid.octets, bhs.begin() + 8);
    store_be(bhs, 14, tsih);
    store_be(bhs, 16, initiator_task_tag);
    numbers.encode(bhs);
    store_be(bhs, 36, static_cast<std::uint16_t>(status));
}

ScsiResponse ScsiResponse::decode(ByteSpan bhs) noexcept {
    ScsiResponse r;
    r.residual = residual_of(bhs);
    r.response = u8_at(bhs, 2);
    r.status = u8_at(bhs, 3);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.numbers = SequenceNumbers::decode(bhs);
    r.exp_data_sn = u32_at(bhs, 36);
    return r;
}
void ScsiResponse::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::scsi_response, false);
    put_u8(bhs, 1, 0x80 | residual_bits(residual));
    put_u8(bhs, 2, response);
    put_u8(bhs, 3, status);
    store_be(bhs, 16, initiator_task_tag);
    numbers.encode(bhs);
    store_be(bhs, 36, exp_data_sn);
    store_be(bhs, 44, residual.count);
}

DataIn DataIn::decode(ByteSpan bhs) noexcept {
    DataIn r;
    r.final = is_final(bhs);
    r.has_status = (u8_at(bhs, 1) & 0x01) != 0;
    r.residual = residual_of(bhs);
    r.status = u8_at(bhs, 3);
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.target_transfer_tag = u32_at(bhs, 20);
    r.numbers = SequenceNumbers::decode(bhs);
    r.data_sn = u32_at(bhs, 36);
    r.buffer_offset = u32_at(bhs, 40);
    return r;
}
void DataIn::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::data_in, false);
    put_u8(bhs, 1, bit(final, 0x80) | residual_bits(residual) | bit(has_status, 0x01));
    put_u8(bhs, 3, status);
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    numbers.encode(bhs);
    store_be(bhs, 36, data_sn);
    store_be(bhs, 40, buffer_offset);
    store_be(bhs, 44, residual.count);
}

R2t R2t::decode(ByteSpan bhs) noexcept {
    R2t r;
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.target_transfer_tag = u32_at(bhs, 20);
    r.numbers = SequenceNumbers::decode(bhs);
    r.r2t_sn = u32_at(bhs, 36);
    r.buffer_offset = u32_at(bhs, 40);
    r.desired_data_transfer_length = u32_at(bhs, 44);
    return r;
}
void R2t::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::r2t, false);
    put_u8(bhs, 1, 0x80);
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    numbers.encode(bhs);
    store_be(bhs, 36, r2t_sn);
    store_be(bhs, 40, buffer_offset);
    store_be(bhs, 44, desired_data_transfer_length);
}

NopIn NopIn::decode(ByteSpan bhs) noexcept {
    return {.lun = u64_at(bhs, 8),
            .initiator_task_tag = u32_at(bhs, 16),
            .target_transfer_tag = u32_at(bhs, 20),
            .numbers = SequenceNumbers::decode(bhs)};
}
void NopIn::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::nop_in, false);
    put_u8(bhs, 1, 0x80);
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    numbers.encode(bhs);
}

TaskManagementResponse TaskManagementResponse::decode(ByteSpan bhs) noexcept {
    return {.response = static_cast<TaskFunctionResponse>(u8_at(bhs, 2)),
            .initiator_task_tag = u32_at(bhs, 16),
            .numbers = SequenceNumbers::decode(bhs)};
}
void TaskManagementResponse::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::task_management_response, false);
    put_u8(bhs, 1, 0x80);
    put_u8(bhs, 2, static_cast<std::uint8_t>(response));
    store_be(bhs, 16, initiator_task_tag);
    numbers.encode(bhs);
}

TextResponse TextResponse::decode(ByteSpan bhs) noexcept {
    TextResponse r;
    r.final = is_final(bhs);
    r.continues = (u8_at(bhs, 1) & 0x40) != 0;
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.target_transfer_tag = u32_at(bhs, 20);
    r.numbers = SequenceNumbers::decode(bhs);
    return r;
}
void TextResponse::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::text_response, false);
    put_u8(bhs, 1, bit(final, 0x80) | bit(continues, 0x40));
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    numbers.encode(bhs);
}

LogoutResponse LogoutResponse::decode(ByteSpan bhs) noexcept {
    return {.response = static_cast<LogoutResponseCode>(u8_at(bhs, 2)),
            .initiator_task_tag = u32_at(bhs, 16),
            .numbers = SequenceNumbers::decode(bhs),
            .time2wait_s = load_be<std::uint16_t>(bhs, 40),
            .time2retain_s = load_be<std::uint16_t>(bhs, 42)};
}
void LogoutResponse::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::logout_response, false);
    put_u8(bhs, 1, 0x80);
    put_u8(bhs, 2, static_cast<std::uint8_t>(response));
    store_be(bhs, 16, initiator_task_tag);
    numbers.encode(bhs);
    store_be(bhs, 40, time2wait_s);
    store_be(bhs, 42, time2retain_s);
}

Reject Reject::decode(ByteSpan bhs) noexcept {
    return {.reason = static_cast<RejectReason>(u8_at(bhs, 2)), .numbers = SequenceNumbers::decode(bhs)};
}
void Reject::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::reject, false);
    put_u8(bhs, 1, 0x80);
    put_u8(bhs, 2, static_cast<std::uint8_t>(reason));
    store_be(bhs, 16, reserved_tag);
    numbers.encode(bhs);
}

AsyncMessage AsyncMessage::decode(ByteSpan bhs) noexcept {
    return {.event = static_cast<AsyncEvent>(u8_at(bhs, 36)),
            .numbers = SequenceNumbers::decode(bhs),
            .parameter1 = load_be<std::uint16_t>(bhs, 38),
            .parameter2 = load_be<std::uint16_t>(bhs, 40),
            .parameter3 = load_be<std::uint16_t>(bhs, 42)};
}
void AsyncMessage::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::async_message, false);
    put_u8(bhs, 1, 0x80);
    store_be(bhs, 16, reserved_tag);
    numbers.encode(bhs);
    put_u8(bhs, 36, static_cast<std::uint8_t>(event));
    store_be(bhs, 38, parameter1);
    store_be(bhs, 40, parameter2);
    store_be(bhs, 42, parameter3);
}

}  // namespace diskless::iscsi::wire
