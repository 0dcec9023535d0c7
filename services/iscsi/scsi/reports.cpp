#include "services/iscsi/scsi/reports.hpp"

#include <algorithm>

#include "services/iscsi/scsi/cdb.hpp"

namespace diskless::scsi {
namespace {

/// No command of ours has a limit that an initiator could plan with.
void write_timeouts(ByteWriter& out) {
    out.be<std::uint16_t>(10);
    out.zeros(10);
}

using Has = std::function<bool(const CommandEntry&)>;

void report_all(Command& command, bool with_timeouts, const Has& has) {
    std::array<std::byte, max_parameter_bytes> room{};
    ByteWriter out{room};
    out.zeros(4);
    for (const CommandEntry& entry : all_commands()) {
        if (!has(entry)) continue;
        out.u8(entry.opcode);
        out.u8(0);
        out.be<std::uint16_t>(entry.service_action.value_or(0));
        out.u8(0);
        out.u8(static_cast<std::uint8_t>((entry.service_action ? 1 : 0) | (with_timeouts ? 2 : 0)));
        out.be<std::uint16_t>(entry.cdb_bytes);
        if (with_timeouts) write_timeouts(out);
    }
    store_be(room, 0, static_cast<std::uint32_t>(out.size() - 4));
    answer(command, out.written());
}

void report_one(Command& command, const CommandEntry* entry, bool with_timeouts) {
    std::array<std::byte, 64> room{};
    ByteWriter out{room};
    out.u8(0);
    out.u8(static_cast<std::uint8_t>((entry != nullptr ? 3 : 1) | (entry != nullptr && with_timeouts ? 0x80 : 0)));
    if (entry == nullptr) {
        out.be<std::uint16_t>(0);
    } else {
        out.be<std::uint16_t>(entry->cdb_bytes);
        for (std::size_t i = 0; i < entry->cdb_bytes; ++i) out.u8(entry->usage[i]);
        if (with_timeouts) write_timeouts(out);
    }
    answer(command, out.written());
}

}  // namespace

void answer(Command& command, ByteSpan bytes) noexcept {
    const std::size_t count = std::min(bytes.size(), command.data.size());
    std::ranges::copy(bytes.first(count), command.data.begin());
    command.data_in_bytes = count;
}

void report_supported_operation_codes(Command& command, const std::function<bool(const CommandEntry&)>& has) {
    const auto options = load_be<std::uint8_t>(command.cdb, 2);
    const bool with_timeouts = (options & 0x80) != 0;
    const auto opcode = load_be<std::uint8_t>(command.cdb, 3);
    const auto action = load_be<std::uint16_t>(command.cdb, 4);
    if ((options & 7) == 0) return report_all(command, with_timeouts, has);

    const auto entries = all_commands();
    const auto exact = std::ranges::find_if(
        entries, [&](const CommandEntry& e) { return e.opcode == opcode && e.service_action.value_or(0) == action && has(e); });
    const auto any = std::ranges::find_if(entries, [&](const CommandEntry& e) { return e.opcode == opcode && has(e); });
    const bool has_actions = has_service_actions(opcode);
    switch (options & 7) {
        case 1:  // an opcode without service actions
            if (has_actions) return command.fail_field(2);
            return report_one(command, any == entries.end() ? nullptr : &*any, with_timeouts);
        case 2:  // an opcode with one
            if (any != entries.end() && !has_actions) return command.fail_field(2);
            return report_one(command, exact == entries.end() ? nullptr : &*exact, with_timeouts);
        case 3:  // either
            if (!has_actions) return report_one(command, any == entries.end() || action != 0 ? nullptr : &*any, with_timeouts);
            return report_one(command, exact == entries.end() ? nullptr : &*exact, with_timeouts);
        default: return command.fail_field(2);
    }
}

void report_supported_task_management_functions(Command& command) {
    const bool extended = (load_be<std::uint8_t>(command.cdb, 2) & 0x80) != 0;
    std::array<std::byte, 16> room{};
    room[0] = std::byte{0xda};  // ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, TARGET RESET
    if (extended) room[3] = std::byte{12};
    answer(command, ByteSpan{room}.first(extended ? 16 : 4));
}

void report_target_port_groups(Command& command) {
    std::array<std::byte, 16> room{};
    ByteWriter out{room};
    out.be<std::uint32_t>(12);
    out.u8(0);     // active/optimized
    out.u8(0x01);  // AO_SUP
    out.be<std::uint16_t>(1);
    out.zeros(3);
    out.u8(1);  // one port
    out.zeros(2);
    out.be<std::uint16_t>(1);
    answer(command, room);
}

void read_defect_data(Command& command) {
    const bool ten = load_be<std::uint8_t>(command.cdb, 0) == 0x37;
    const auto how = load_be<std::uint8_t>(command.cdb, ten ? 2 : 1);  // REQ_PLIST, REQ_GLIST, format: given back
    std::array<std::byte, 8> room{};
    store_be(room, 1, static_cast<std::uint8_t>(how & 0x1f));
    answer(command, ByteSpan{room}.first(ten ? 4 : 8));
}

}  // namespace diskless::scsi
