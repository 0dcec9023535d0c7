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
    bool removable = false;   ///< its medium can be ejected and loaded
    bool sanitize = false;    ///< whoever is logged in may wipe it by SANITIZE
    friend bool operator==(const Identity&, const Identity&) = default;
};

/// What one command may move at most; reported in VPD B0h and enforced.
inline constexpr std::uint64_t max_transfer_bytes = std::uint64_t{16} << 20;
inline constexpr std::uint32_t max_unmap_descriptors = 256;
inline constexpr std::uint8_t max_compare_and_write_blocks = 128;
/// What one WRITE SAME covers at most.
inline constexpr std::uint64_t max_write_same_bytes = std::uint64_t{16} << 20;

/// "<hash of target and LUN>" in 16 hex digits: what initiators take for the disk's serial number.
[[nodiscard]] std::string serial_number(const Identity& identity);

void write_standard_inquiry(ByteWriter& out, bool unit_present, bool removable = false);
/// The two designators by which an EXTENDED COPY names this unit (SPC-4 6.4.5.2): NAA and T10 vendor ID.
[[nodiscard]] bool is_designator_of(const Identity& identity, ByteSpan designator);
/// False: no such page.
[[nodiscard]] bool write_vpd_page(ByteWriter& out, std::uint8_t page, const Identity& identity, const storage::Geometry& geometry);

}  // namespace diskless::scsi
