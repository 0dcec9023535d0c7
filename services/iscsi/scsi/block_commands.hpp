// The block commands (SBC-3 5): range checks, and what each asks of the device. Values in, values out; logical_unit.cpp performs them.
#pragma once

#include <optional>

#include "services/iscsi/scsi/cdb.hpp"
#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

/// Whether `range` lies on the disk (overflow-safe) and asks for nothing we lack; otherwise the command has failed.
[[nodiscard]] bool check_range(Command& command, const BlockRange& range, const storage::Geometry& geometry);

/// Examines READ, WRITE, VERIFY, WRITE AND VERIFY, SYNCHRONIZE CACHE, WRITE SAME, UNMAP, PRE-FETCH, COMPARE AND WRITE, ORWRITE,
/// GET LBA STATUS.
[[nodiscard]] std::optional<Transfer> examine_block_command(Command& command, const CommandEntry& entry, const storage::Geometry& geometry);

/// One UNMAP block descriptor (SBC-3 5.28.2).
struct UnmapRange {
    std::uint64_t lba;
    std::uint32_t blocks;
};
/// How many descriptors a parameter list holds. A list that is too short, or one whose lengths disagree, fails the command and gives
/// nothing.
[[nodiscard]] std::optional<std::uint32_t> unmap_descriptors(Command& command);
[[nodiscard]] UnmapRange unmap_descriptor(ByteSpan parameter_list, std::uint32_t index) noexcept;

/// COMPARE AND WRITE: its length is elsewhere (SBC-3 5.3).
[[nodiscard]] BlockRange compare_and_write_range(ByteSpan cdb) noexcept;
[[nodiscard]] bool changes_medium(Operation operation) noexcept;
/// GET LBA STATUS' parameter data (SBC-3 5.6.2).
void write_lba_status(ByteWriter& out, std::span<const storage::Extent> extents, std::uint32_t block_bytes);

void read_capacity_10(ByteWriter& out, const storage::Geometry& geometry);
void read_capacity_16(ByteWriter& out, const storage::Geometry& geometry);

/// What a device's failure means to an initiator: space 07/27/07, read-only 07/27/00, medium and hardware errors.
void fail_by_device(Command& command, const storage::IoRequest& request);

}  // namespace diskless::scsi
