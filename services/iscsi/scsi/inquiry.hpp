// INQUIRY: standard data and vital product data pages (SPC-4 6.6, 7.8; SBC-3 6.6).
#pragma once

#include <cstdint>
#include <string>

#include "common/bytes.hpp"
#include "storage/block_device.hpp"

namespace diskless::scsi {

/// Who a logical unit is; the same after every restart.
struct Identity {
    std::string target_name;  ///< the target's IQN
    std::uint16_t lun = 0;
    std::string description;  ///< for people; not sent
};

/// What one command may move at most; reported in VPD B0h and enforced.
inline constexpr std::uint64_t max_transfer_bytes = std::uint64_t{16} << 20;
inline constexpr std::uint32_t max_unmap_descriptors = 256;

/// "<hash of target and LUN>" in 16 hex digits: what initiators take for the disk's serial number.
[[nodiscard]] std::string serial_number(const Identity& identity);

void write_standard_inquiry(ByteWriter& out, bool unit_present);
/// False: no such page.
[[nodiscard]] bool write_vpd_page(ByteWriter& out, std::uint8_t page, const Identity& identity, const storage::Geometry& geometry);

}  // namespace diskless::scsi
