// What a request says of its sender beyond the fields of RFC 2131: firmware, machine identifier, the link it is on. Pure readers of
// options.
#pragma once

#include <string>

#include "boot/firmware.hpp"
#include "services/dhcp/wire/options.hpp"

namespace diskless::dhcp {

/// Options 55, 60, 77, 93 and 175, for boot::firmware_of. Views into `options`.
[[nodiscard]] boot::FirmwareHints hints_of(const wire::Options& options) noexcept;

/// Option 97: a type byte of 0, then the UUID (RFC 4578 2.3).
[[nodiscard]] std::optional<Uuid> uuid_of(const wire::Options& options) noexcept;

/// RFC 3527: the link the client is on, where the relay's own address does not tell (option 82, sub-option 5).
[[nodiscard]] std::optional<Ipv4Address> link_selection(const wire::Options& options) noexcept;

/// For people, already escaped: "PXEClient:Arch:00000 (BIOS, PXE ROM)", "Linux ipconfig (initramfs)", "a system".
[[nodiscard]] std::string describe(const boot::Firmware& firmware, std::string_view vendor_class);

}  // namespace diskless::dhcp
