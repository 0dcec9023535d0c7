// Configurations for loaders that are no iPXE: GRUB behind shim (Secure Boot), and PXELINUX. Made per client, delivered by TFTP. Pure text.
#pragma once

#include <string>

#include "boot/plan.hpp"

namespace diskless::boot {

/// What GRUB asks for once it runs; `client` is nullptr for a machine nobody declared. Without secrets: whoever asks may read it.
[[nodiscard]] std::string grub_config(const Client* client, const BootServer& server);
/// The same for PXELINUX ("pxelinux.cfg/01-<mac>").
[[nodiscard]] std::string pxelinux_config(const Client* client, const BootServer& server);

/// The text as one or more words of GRUB's script language, without meaning for it (GRUB manual, 6.1 and 6.2: quoting).
[[nodiscard]] std::string grub_quoted(std::string_view text);

}  // namespace diskless::boot
