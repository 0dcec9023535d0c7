// REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 6.35, 6.36), from the one table of commands.
#pragma once

#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

/// Copies what fits of an answer into command.data.
void answer(Command& command, ByteSpan bytes) noexcept;

/// `has`: which commands of the table this unit has.
void report_supported_operation_codes(Command& command, const std::function<bool(const CommandEntry&)>& has);
void report_supported_task_management_functions(Command& command);
/// One group, always active and optimized (SPC-4 6.38).
void report_target_port_groups(Command& command);
/// A file has no defects that it tells of (SBC-3 5.19, 5.20): the header with an empty list.
void read_defect_data(Command& command);

}  // namespace diskless::scsi
