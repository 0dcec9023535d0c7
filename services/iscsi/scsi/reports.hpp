// REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 6.35, 6.36), from the one table of commands.
#pragma once

#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

/// Copies what fits of an answer into command.data.
void answer(Command& command, ByteSpan bytes) noexcept;

/// `can_discard`: a fully provisioned unit does not list UNMAP.
void report_supported_operation_codes(Command& command, bool can_discard);
void report_supported_task_management_functions(Command& command);

}  // namespace diskless::scsi
