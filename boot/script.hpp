// The iPXE scripts, made per client. Pure text: HTTP and TFTP deliver them under script_path.
#pragma once

#include <string>
#include <string_view>

#include "boot/chap_secrets.hpp"
#include "boot/plan.hpp"

namespace diskless::boot {

/// Where the script of the asking machine lies on the HTTP server; iPXE fills in the settings: "/boot.ipxe?mac=${net0/mac:hexhyp}".
inline constexpr std::string_view script_path = "/boot.ipxe";

/// The script for `client`; nullptr: the menu for a machine nobody declared. `account`: what it logs in to its disk with; only for the
/// eyes of that client, so nullptr towards everybody else.
[[nodiscard]] std::string ipxe_script(const Client* client, const BootServer& server, const ChapAccount* account = nullptr);

/// The kernel command line with {iscsi} and {client}, {address}, {server}, {target}, {initiator} expanded.
[[nodiscard]] std::string expand_cmdline(const Client& client, const BootServer& server, const ChapAccount* account = nullptr);

}  // namespace diskless::boot
