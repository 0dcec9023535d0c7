// The table of commands: the single source for what is dispatched, what is reported (REPORT SUPPORTED OPERATION CODES), and which CDB bits
// may be set. And the decoder of the block commands' common fields (SBC-3 5).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "common/bytes.hpp"

namespace diskless::scsi {

enum class Operation : std::uint8_t {
    test_unit_ready,
    request_sense,
    inquiry,
    mode_sense,
    start_stop_unit,
    prevent_allow_medium_removal,
    read_capacity_10,
    read_capacity_16,
    read,
    write,
    verify,
    write_and_verify,
    synchronize_cache,
    unmap,
    write_same,
    prefetch,
    compare_and_write,
    or_write,
    sanitize,
    get_lba_status,
    read_defect_data,
    mode_select,
    reserve,
    release,
    persistent_reserve_in,
    persistent_reserve_out,
    extended_copy,
    receive_copy_results,
    report_target_port_groups,
    report_luns,
    report_supported_operation_codes,
    report_supported_task_management_functions,
};

struct CommandEntry {
    std::uint8_t opcode = 0;
    std::optional<std::uint8_t> service_action;
    std::uint8_t cdb_bytes = 0;
    Operation operation = Operation::test_unit_ready;
    /// CDB usage data (SPC-4 6.35.3): the bits of each byte that the unit evaluates. Byte 0 is the opcode itself, and a
    /// service action is itself too, not a mask.
    std::array<std::uint8_t, 16> usage{};
};

[[nodiscard]] std::span<const CommandEntry> all_commands() noexcept;
/// nullptr: not implemented. `knows_opcode` tells whether only the service action is unknown.
[[nodiscard]] const CommandEntry* find_command(std::span<const std::byte> cdb, bool& knows_opcode) noexcept;
[[nodiscard]] bool has_service_actions(std::uint8_t opcode) noexcept;

/// What READ, WRITE, VERIFY, WRITE SAME and SYNCHRONIZE CACHE of any length have in common.
struct BlockRange {
    std::uint64_t lba = 0;
    std::uint64_t blocks = 0;
    std::uint8_t protect = 0;  ///< RDPROTECT / WRPROTECT / VRPROTECT
    bool force_unit_access = false;
};
[[nodiscard]] BlockRange decode_range(std::span<const std::byte> cdb) noexcept;

}  // namespace diskless::scsi
