// MODE SENSE: the mode pages of a disk (SPC-4 7.5, SBC-3 6.5).
#pragma once

#include <cstdint>
#include <optional>

#include "common/bytes.hpp"
#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

/// What an initiator may set, one per logical unit.
struct ModeState {
    bool descriptor_sense = false;        ///< control page, D_SENSE
    bool software_write_protect = false;  ///< control page, SWP
    friend bool operator==(const ModeState&, const ModeState&) = default;
};

/// Answers MODE SENSE(6) or (10) into command.data, or fails the command.
void mode_sense(Command& command, const storage::Geometry& geometry, const ModeState& state);
/// Performs MODE SELECT(6) or (10) on `state`. Nothing: the command has failed, and nothing of it holds.
[[nodiscard]] std::optional<ModeState> mode_select(Command& command, const storage::Geometry& geometry, const ModeState& state);

}  // namespace diskless::scsi
