// The iPXE scripts, made per client. Pure text: HTTP and TFTP deliver them under script_path.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "boot/catalog.hpp"
#include "boot/chap_secrets.hpp"
#include "boot/plan.hpp"

namespace diskless::boot {

/// Where the script of the asking machine lies on the HTTP server; iPXE fills in the settings: "/boot.ipxe?mac=${net0/mac:hexhyp}".
/// Menus come back there with `choice` (a tool, "shell", "enroll"), `group` and `password`.
inline constexpr std::string_view script_path = "/boot.ipxe";

/// What a script is made of besides its client.
struct ScriptSetting {
    std::span<const Tool> tools;                      ///< all there are
    const ChapAccount* account = nullptr;             ///< what it logs in to its disk with; only for the eyes of that client
    std::optional<Ipv4Address> address = {};          ///< where the client is; on a link of the server no gateway leads to its disk
    std::span<const std::string> enroll_groups = {};  ///< what a machine that nobody declared may become a client of
    bool enroll_password = false;                     ///< it is asked for one before
};

/// The script for `client`; nullptr: the menu for a machine nobody declared.
[[nodiscard]] std::string ipxe_script(const Client* client, const BootServer& server, const ScriptSetting& setting = {});
/// What starts one tool, or with "shell" iPXE's own shell; for a choice that was made in the menu.
[[nodiscard]] std::string tool_script(const Client* client, const Tool& tool, const BootServer& server);
[[nodiscard]] std::string shell_script();
/// Says something on the machine's screen, then restarts it, or goes back to the menu.
enum class AfterMessage : std::uint8_t { restart, menu };
[[nodiscard]] std::string message_script(std::string_view text, AfterMessage then, const BootServer& server);

/// The kernel command line with {iscsi} and {client}, {address}, {server}, {http}, {target}, {initiator} expanded.
[[nodiscard]] std::string expand_cmdline(const Client& client, const BootServer& server, const ChapAccount* account = nullptr);

}  // namespace diskless::boot
