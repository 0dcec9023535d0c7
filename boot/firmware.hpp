// What a machine says of its firmware in DHCP, as one value: architecture, who is asking (ROM, iPXE, an operating system), what iPXE can
// do.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/network.hpp"

namespace diskless::boot {

/// Client System Architecture Type, DHCP option 93 (RFC 4578 2.1 and IANA "Processor Architecture Types").
enum class Architecture : std::uint16_t {
    bios = 0,
    efi_ia32 = 6,
    efi_x64 = 7,
    efi_bc = 9,  ///< EFI byte code, which x64 firmware of some makers claims to be
    efi_arm32 = 10,
    efi_arm64 = 11,
    http_ia32 = 15,
    http_x64 = 16,
    http_bc = 17,
    http_arm32 = 18,
    http_arm64 = 19,
};

/// Who is asking.
enum class Stage : std::uint8_t {
    plain,          ///< a DHCP client that does not boot from us: an operating system, a phone
    system,         ///< an operating system's initramfs (class "Linux ipconfig")
    san_firmware,   ///< firmware with an iSCSI initiator of its own (OVMF's)
    pxe_rom,        ///< PXE firmware that wants a loader
    http_firmware,  ///< UEFI HTTP boot
    ipxe,           ///< iPXE, as a ROM or as the loader we sent: DHCP cannot tell them apart
};

struct Firmware {
    Stage stage = Stage::plain;
    Architecture architecture = Architecture::bios;
    bool ipxe_http = false;   ///< option 175: 13h
    bool ipxe_iscsi = false;  ///< option 175: 11h

    friend bool operator==(const Firmware&, const Firmware&) = default;
};

/// The options that matter, as the packet had them; empty and absent are the same.
struct FirmwareHints {
    std::optional<std::uint16_t> architecture;  ///< option 93, the first one listed
    std::string_view vendor_class;              ///< option 60
    std::string_view user_class;                ///< option 77, raw or with a length byte: both occur
    std::string_view requested;                 ///< option 55
    bool has_ipxe_options = false;              ///< option 175 is present
    bool ipxe_http = false;
    bool ipxe_iscsi = false;
};
[[nodiscard]] Firmware firmware_of(const FirmwareHints& hints) noexcept;

[[nodiscard]] constexpr bool is_efi(Architecture a) noexcept { return a != Architecture::bios; }
/// UEFI firmware itself asks, not a loader that it has started.
[[nodiscard]] constexpr bool is_uefi_itself(const Firmware& firmware) noexcept {
    return (firmware.stage == Stage::pxe_rom || firmware.stage == Stage::http_firmware) && is_efi(firmware.architecture);
}

}  // namespace diskless::boot
