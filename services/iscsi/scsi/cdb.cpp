#include "services/iscsi/scsi/cdb.hpp"

#include <algorithm>

namespace diskless::scsi {
namespace {

using U = std::array<std::uint8_t, 16>;
constexpr std::uint8_t ff = 0xff;
constexpr std::uint8_t control = 0x04;  // NACA is evaluated (and refused)
constexpr auto no_action = std::optional<std::uint8_t>{};

constexpr std::array commands{
    CommandEntry{0x00, no_action, 6, Operation::test_unit_ready, U{0x00, 0, 0, 0, 0, control}},
    CommandEntry{0x03, no_action, 6, Operation::request_sense, U{0x03, 0x01, 0, 0, ff, control}},
    CommandEntry{0x08, no_action, 6, Operation::read, U{0x08, 0x1f, ff, ff, ff, control}},
    CommandEntry{0x0a, no_action, 6, Operation::write, U{0x0a, 0x1f, ff, ff, ff, control}},
    CommandEntry{0x12, no_action, 6, Operation::inquiry, U{0x12, 0x01, ff, ff, ff, control}},
    CommandEntry{0x15, no_action, 6, Operation::mode_select, U{0x15, 0x11, 0, 0, ff, control}},
    CommandEntry{0x16, no_action, 6, Operation::reserve, U{0x16, 0, 0, 0, 0, control}},
    CommandEntry{0x17, no_action, 6, Operation::release, U{0x17, 0, 0, 0, 0, control}},
    CommandEntry{0x1a, no_action, 6, Operation::mode_sense, U{0x1a, 0x08, ff, ff, ff, control}},
    CommandEntry{0x1b, no_action, 6, Operation::start_stop_unit, U{0x1b, 0x01, 0, 0x0f, 0xf7, control}},
    CommandEntry{0x1e, no_action, 6, Operation::prevent_allow_medium_removal, U{0x1e, 0, 0, 0, 0x03, control}},
    CommandEntry{0x25, no_action, 10, Operation::read_capacity_10, U{0x25, 0, ff, ff, ff, ff, 0, 0, 0x01, control}},
    CommandEntry{0x28, no_action, 10, Operation::read, U{0x28, 0xf8, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x2a, no_action, 10, Operation::write, U{0x2a, 0xf8, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x2e, no_action, 10, Operation::write_and_verify, U{0x2e, 0xf2, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x2f, no_action, 10, Operation::verify, U{0x2f, 0xf6, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x34, no_action, 10, Operation::prefetch, U{0x34, 0x02, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x35, no_action, 10, Operation::synchronize_cache, U{0x35, 0x02, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x37, no_action, 10, Operation::read_defect_data, U{0x37, 0, 0x1f, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x41, no_action, 10, Operation::write_same, U{0x41, 0xf8, ff, ff, ff, ff, 0x3f, ff, ff, control}},
    CommandEntry{0x42, no_action, 10, Operation::unmap, U{0x42, 0x01, 0, 0, 0, 0, 0x3f, ff, ff, control}},
    CommandEntry{0x48, 0x01, 10, Operation::sanitize, U{0x48, 0x81, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x48, 0x02, 10, Operation::sanitize, U{0x48, 0x82, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x48, 0x03, 10, Operation::sanitize, U{0x48, 0x83, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x48, 0x1f, 10, Operation::sanitize, U{0x48, 0x9f, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x55, no_action, 10, Operation::mode_select, U{0x55, 0x11, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x56, no_action, 10, Operation::reserve, U{0x56, 0, 0, 0, 0, 0, 0, 0, 0, control}},
    CommandEntry{0x57, no_action, 10, Operation::release, U{0x57, 0, 0, 0, 0, 0, 0, 0, 0, control}},
    CommandEntry{0x5a, no_action, 10, Operation::mode_sense, U{0x5a, 0x18, ff, ff, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x5e, 0x00, 10, Operation::persistent_reserve_in, U{0x5e, 0x00, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x5e, 0x01, 10, Operation::persistent_reserve_in, U{0x5e, 0x01, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x5e, 0x02, 10, Operation::persistent_reserve_in, U{0x5e, 0x02, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x5e, 0x03, 10, Operation::persistent_reserve_in, U{0x5e, 0x03, 0, 0, 0, 0, 0, ff, ff, control}},
    CommandEntry{0x5f, 0x00, 10, Operation::persistent_reserve_out, U{0x5f, 0x00, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x01, 10, Operation::persistent_reserve_out, U{0x5f, 0x01, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x02, 10, Operation::persistent_reserve_out, U{0x5f, 0x02, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x03, 10, Operation::persistent_reserve_out, U{0x5f, 0x03, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x04, 10, Operation::persistent_reserve_out, U{0x5f, 0x04, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x05, 10, Operation::persistent_reserve_out, U{0x5f, 0x05, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x06, 10, Operation::persistent_reserve_out, U{0x5f, 0x06, ff, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x5f, 0x07, 10, Operation::persistent_reserve_out, U{0x5f, 0x07, 0, 0, 0, ff, ff, ff, ff, control}},
    CommandEntry{0x83, 0x00, 16, Operation::extended_copy, U{0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, control}},
    CommandEntry{0x84, 0x00, 16, Operation::receive_copy_results, U{0x84, 0, ff, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, control}},
    CommandEntry{0x84, 0x03, 16, Operation::receive_copy_results, U{0x84, 0x03, ff, 0, 0, 0, 0, 0, 0, 0, ff, ff, ff, ff, 0, control}},
    CommandEntry{0x88, no_action, 16, Operation::read, U{0x88, 0xf8, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x89, no_action, 16, Operation::compare_and_write,
                 U{0x89, 0xf8, ff, ff, ff, ff, ff, ff, ff, ff, 0, 0, 0, ff, 0x3f, control}},
    CommandEntry{0x8a, no_action, 16, Operation::write, U{0x8a, 0xf8, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x8b, no_action, 16, Operation::or_write, U{0x8b, 0xf8, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x8e, no_action, 16, Operation::write_and_verify,
                 U{0x8e, 0xf2, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x8f, no_action, 16, Operation::verify, U{0x8f, 0xf6, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x90, no_action, 16, Operation::prefetch, U{0x90, 0x02, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x91, no_action, 16, Operation::synchronize_cache,
                 U{0x91, 0x02, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x93, no_action, 16, Operation::write_same, U{0x93, 0xf9, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0x9e, 0x10, 16, Operation::read_capacity_16, U{0x9e, 0x10, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0x01, control}},
    CommandEntry{0x9e, 0x12, 16, Operation::get_lba_status, U{0x9e, 0x12, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, 0, control}},
    CommandEntry{0xa0, no_action, 12, Operation::report_luns, U{0xa0, 0, ff, 0, 0, 0, ff, ff, ff, ff, 0, control}},
    CommandEntry{0xa3, 0x0a, 12, Operation::report_target_port_groups, U{0xa3, 0x0a, 0, 0, 0, 0, ff, ff, ff, ff, 0, control}},
    CommandEntry{0xa3, 0x0c, 12, Operation::report_supported_operation_codes, U{0xa3, 0x0c, 0x87, ff, ff, ff, ff, ff, ff, ff, 0, control}},
    CommandEntry{0xa3, 0x0d, 12, Operation::report_supported_task_management_functions,
                 U{0xa3, 0x0d, 0x80, 0, 0, 0, ff, ff, ff, ff, 0, control}},
    CommandEntry{0xa8, no_action, 12, Operation::read, U{0xa8, 0xf8, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0xaa, no_action, 12, Operation::write, U{0xaa, 0xf8, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0xae, no_action, 12, Operation::write_and_verify, U{0xae, 0xf2, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0xaf, no_action, 12, Operation::verify, U{0xaf, 0xf6, ff, ff, ff, ff, ff, ff, ff, ff, 0x3f, control}},
    CommandEntry{0xb7, no_action, 12, Operation::read_defect_data, U{0xb7, 0x1f, ff, ff, ff, ff, ff, ff, ff, ff, 0, control}},
};

/// opcode -> index of its first entry, or -1: one look for every command on the hot path.
constexpr auto index_by_opcode = [] {
    std::array<std::int16_t, 256> index{};
    index.fill(-1);
    for (std::size_t i = commands.size(); i-- > 0;) index[commands[i].opcode] = static_cast<std::int16_t>(i);
    return index;
}();

}  // namespace

std::span<const CommandEntry> all_commands() noexcept { return commands; }

bool has_service_actions(std::uint8_t opcode) noexcept {
    const int first = index_by_opcode[opcode];
    return first >= 0 && commands[static_cast<std::size_t>(first)].service_action.has_value();
}

const CommandEntry* find_command(std::span<const std::byte> cdb, bool& knows_opcode) noexcept {
    const auto opcode = load_be<std::uint8_t>(cdb, 0);
    const int first = index_by_opcode[opcode];
    knows_opcode = first >= 0;
    if (!knows_opcode) return nullptr;
    const auto* entry = &commands[static_cast<std::size_t>(first)];
    if (!entry->service_action) return entry;
    const auto action = static_cast<std::uint8_t>(load_be<std::uint8_t>(cdb, 1) & 0x1f);
    for (; entry != commands.data() + commands.size() && entry->opcode == opcode; ++entry) {
        if (entry->service_action == action) return entry;
    }
    return nullptr;
}

BlockRange decode_range(std::span<const std::byte> cdb) noexcept {
    const auto opcode = load_be<std::uint8_t>(cdb, 0);
    const auto flags = load_be<std::uint8_t>(cdb, 1);
    BlockRange range;
    switch (opcode >> 5) {  // the group code gives the CDB's shape (SPC-4 4.3.4)
        case 0:
            range.lba = load_be24(cdb, 1) & 0x1fffff;
            range.blocks = load_be<std::uint8_t>(cdb, 4);
            if (range.blocks == 0) range.blocks = 256;  // SBC-3 5.11: zero means 256, only here
            return range;
        case 5:
            range.lba = load_be<std::uint32_t>(cdb, 2);
            range.blocks = load_be<std::uint32_t>(cdb, 6);
            break;
        case 4:
            range.lba = load_be<std::uint64_t>(cdb, 2);
            range.blocks = load_be<std::uint32_t>(cdb, 10);
            break;
        default:
            range.lba = load_be<std::uint32_t>(cdb, 2);
            range.blocks = load_be<std::uint16_t>(cdb, 7);
            break;
    }
    range.protect = flags >> 5;
    range.force_unit_access = (flags & 0x08) != 0;
    return range;
}

}  // namespace diskless::scsi
