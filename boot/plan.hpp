// BootPlan: what a machine gets next, decided in one place from (client, firmware, server). Pure; DHCP, TFTP and HTTP only deliver it.
// The order of a boot: ROM -> loader -> (iPXE asks again) -> script or root path -> disk. ARCHITECTURE.md follows one machine through it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "boot/client.hpp"
#include "boot/firmware.hpp"

namespace diskless::boot {

/// How clients reach this server. A port of 0 means that service is off.
struct BootServer {
    Ipv4Address address;
    std::optional<Ipv6Address> address6;  ///< clients are told this one
    std::uint16_t tftp_port = 69;
    std::uint16_t http_port = 8080;
    std::uint16_t iscsi_port = 3260;
    std::string target_prefix;
    std::vector<Ipv4Network> links;  ///< networks without a gateway between them and the server

    [[nodiscard]] IpAddress told() const { return address6 ? IpAddress{*address6} : IpAddress{address}; }
    /// As it stands in URLs and root paths.
    [[nodiscard]] std::string host() const { return told().host(); }
};

struct BootPlan {
    std::string boot_file;     ///< DHCP `file` and option 67: a TFTP name or a URL; empty: nothing to load
    std::string root_path;     ///< option 17; never together with boot_file: iPXE would log in first and then find its disk taken
    std::string vendor_class;  ///< option 60 of the reply: "PXEClient" or "HTTPClient"; empty: none
    std::string initiator;     ///< iPXE option 203: the initiator name this client logs in with
    bool boots = false;        ///< next-server and the fields above are meant

    friend bool operator==(const BootPlan&, const BootPlan&) = default;
};

/// `client` is nullptr for a machine nobody declared (policy "menu"): it gets a loader and the menu.
[[nodiscard]] BootPlan plan_boot(const Client* client, const Firmware& firmware, const BootServer& server);

/// The loader's file name for an architecture, as it lies under the boot root: "undionly.kpxe", "snponly.efi" …; empty: none known.
[[nodiscard]] std::string_view loader_for(Architecture architecture) noexcept;

/// "<prefix>:<name>"
[[nodiscard]] std::string target_name(std::string_view prefix, std::string_view name);
/// "<prefix>.initiator:<client>"
[[nodiscard]] std::string initiator_name(std::string_view prefix, std::string_view client);
/// RFC 4173: "iscsi:192.168.77.1::3260:0:iqn…"
[[nodiscard]] std::string root_path(const Client& client, const BootServer& server);

}  // namespace diskless::boot
