#include "services/iscsi/wire/requests.hpp"

#include <algorithm>

#include "services/iscsi/wire/fields.hpp"

namespace diskless::iscsi::wire {

LoginRequest LoginRequest::decode(ByteSpan bhs) noexcept {
    LoginRequest r;
    const std::uint8_t flags = u8_at(bhs, 1);
    r.transit = (flags & 0x80) != 0;
    r.continues = (flags & 0x40) != 0;
    r.current_stage = static_cast<Stage>((flags >> 2) & 3);
    r.next_stage = static_cast<Stage>(flags & 3);
    r.version_max = u8_at(bhs, 2);
    r.version_min = u8_at(bhs, 3);
    std::ranges::copy(bhs.subspan(8, 6), r.isid.octets.begin());
    r.tsih = load_be<std::uint16_t>(bhs, 14);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.cid = load_be<std::uint16_t>(bhs, 20);
    r.cmd_sn = u32_at(bhs, 24);
    r.exp_stat_sn = u32_at(bhs, 28);
    return r;
}

void LoginRequest::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::login_request, true);
    put_u8(bhs, 1,
           bit(transit, 0x80) | bit(continues, 0x40) | stage_bits(current_stage, transit ? next_stage : Stage::security_negotiation));
    put_u8(bhs, 2, version_max);
    put_u8(bhs, 3, version_min);
    std::ranges::copy(isid.octets, bhs.begin() + 8);
    store_be(bhs, 14, tsih);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, cid);
    store_be(bhs, 24, cmd_sn);
    store_be(bhs, 28, exp_stat_sn);
}

ScsiCommand ScsiCommand::decode(ByteSpan bhs) noexcept {
    ScsiCommand r;
    const std::uint8_t flags = u8_at(bhs, 1);
    r.immediate = is_immediate(bhs);
    r.final = (flags & 0x80) != 0;
    r.read = (flags & 0x40) != 0;
    r.write = (flags & 0x20) != 0;
    r.attributes = flags & 0x07;
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.expected_data_transfer_length = u32_at(bhs, 20);
    r.cmd_sn = u32_at(bhs, 24);
    r.exp_stat_sn = u32_at(bhs, 28);
    std::ranges::copy(bhs.subspan(32, 16), r.cdb.begin());
    return r;
}

void ScsiCommand::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::scsi_command, immediate);
    put_u8(bhs, 1, bit(final, 0x80) | bit(read, 0x40) | bit(write, 0x20) | (attributes & 0x07u));
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, expected_data_transfer_length);
    store_be(bhs, 24, cmd_sn);
    store_be(bhs, 28, exp_stat_sn);
    std::ranges::copy(cdb, bhs.begin() + 32);
}

DataOut DataOut::decode(ByteSpan bhs) noexcept {
    DataOut r;
    r.final = is_final(bhs);
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.target_transfer_tag = u32_at(bhs, 20);
    r.exp_stat_sn = u32_at(bhs, 28);
    r.data_sn = u32_at(bhs, 36);
    r.buffer_offset = u32_at(bhs, 40);
    return r;
}

void DataOut::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::data_out, false);
    put_u8(bhs, 1, bit(final, 0x80));
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    store_be(bhs, 28, exp_stat_sn);
    store_be(bhs, 36, data_sn);
    store_be(bhs, 40, buffer_offset);
}

NopOut NopOut::decode(ByteSpan bhs) noexcept {
    NopOut r;
    r.immediate = is_immediate(bhs);
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.target_transfer_tag = u32_at(bhs, 20);
    r.cmd_sn = u32_at(bhs, 24);
    r.exp_stat_sn = u32_at(bhs, 28);
    return r;
}

void NopOut::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::nop_out, immediate);
    put_u8(bhs, 1, 0x80);
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    store_be(bhs, 24, cmd_sn);
    store_be(bhs, 28, exp_stat_sn);
}

TaskManagementRequest TaskManagementRequest::decode(ByteSpan bhs) noexcept {
    TaskManagementRequest r;
    r.immediate = is_immediate(bhs);
    r.function = static_cast<TaskFunction>(u8_at(bhs, 1) & 0x7f);
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.referenced_task_tag = u32_at(bhs, 20);
    r.cmd_sn = u32_at(bhs, 24);
    r.exp_stat_sn = u32_at(bhs, 28);
    r.ref_cmd_sn = u32_at(bhs, 32);
    r.exp_data_sn = u32_at(bhs, 36);
    return r;
}

void TaskManagementRequest::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::task_management_request, immediate);
    put_u8(bhs, 1, 0x80u | (static_cast<std::uint8_t>(function) & 0x7fu));
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, referenced_task_tag);
    store_be(bhs, 24, cmd_sn);
    store_be(bhs, 28, exp_stat_sn);
    store_be(bhs, 32, ref_cmd_sn);
    store_be(bhs, 36, exp_data_sn);
}

TextRequest TextRequest::decode(ByteSpan bhs) noexcept {
    TextRequest r;
    r.immediate = is_immediate(bhs);
    r.final = is_final(bhs);
    r.continues = (u8_at(bhs, 1) & 0x40) != 0;
    r.lun = u64_at(bhs, 8);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.target_transfer_tag = u32_at(bhs, 20);
    r.cmd_sn = u32_at(bhs, 24);
    r.exp_stat_sn = u32_at(bhs, 28);
    return r;
}

void TextRequest::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::text_request, immediate);
    put_u8(bhs, 1, bit(final, 0x80) | bit(continues, 0x40));
    store_be(bhs, 8, lun);
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, target_transfer_tag);
    store_be(bhs, 24, cmd_sn);
    store_be(bhs, 28, exp_stat_sn);
}

LogoutRequest LogoutRequest::decode(ByteSpan bhs) noexcept {
    LogoutRequest r;
    r.immediate = is_immediate(bhs);
    r.reason = static_cast<LogoutReason>(u8_at(bhs, 1) & 0x7f);
    r.initiator_task_tag = u32_at(bhs, 16);
    r.cid = load_be<std::uint16_t>(bhs, 20);
    r.cmd_sn = u32_at(bhs, 24);
    r.exp_stat_sn = u32_at(bhs, 28);
    return r;
}

void LogoutRequest::encode(Bhs& bhs) const noexcept {
    begin(bhs, Opcode::logout_request, immediate);
    put_u8(bhs, 1, 0x80u | (static_cast<std::uint8_t>(reason) & 0x7fu));
    store_be(bhs, 16, initiator_task_tag);
    store_be(bhs, 20, cid);
    store_be(bhs, 24, cmd_sn);
    store_be(bhs, 28, exp_stat_sn);
}

}  // namespace diskless::iscsi::wire
