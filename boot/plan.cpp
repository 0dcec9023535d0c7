#include "boot/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "boot/script.hpp"

namespace diskless::boot {
namespace {

std::string http_url(const BootServer& server, std::string_view path) {
    return fmt::format("http://{}:{}/{}", server.host(), server.http_port, path);
}

std::string loader_of(const Client* client, Architecture architecture) {
    if (client != nullptr && !client->loader.empty()) return client->loader;
    return std::string{loader_for(architecture)};
}

/// A machine whose method never needs our disk or our loader.
bool leaves_to_itself(const Client* client) noexcept {
    // A choice for one boot is used up by the script, so the loader has to come that far.
    return client != nullptr && client->boot == BootMethod::local && client->next_boot.empty();
}

bool has_boot_disk(const Client& client) noexcept {
    return std::ranges::any_of(client.disks, [](const Disk& disk) { return disk.lun == 0; });
}

BootPlan plan_pxe(const Client* client, const Firmware& firmware, const BootServer& server) {
    BootPlan plan{.vendor_class = "PXEClient"};
    if (server.tftp_port == 0) return plan;
    plan.boot_file = loader_of(client, firmware.architecture);
    plan.boots = !plan.boot_file.empty();
    return plan;
}

/// UEFI HTTP boot needs the URL and the echoed class, or it ignores the offer.
BootPlan plan_http(const Client* client, const Firmware& firmware, const BootServer& server) {
    BootPlan plan{.vendor_class = "HTTPClient"};
    if (server.http_port == 0) return plan;
    const std::string loader = loader_of(client, firmware.architecture);
    if (loader.empty()) return plan;
    plan.boot_file = http_url(server, "boot/" + loader);
    plan.boots = true;
    return plan;
}

BootPlan plan_ipxe(const Client* client, const Firmware& firmware, const BootServer& server) {
    BootPlan plan;
    if (client != nullptr) plan.initiator = initiator_name(server.target_prefix, client->name);
    if (firmware.ipxe_http && server.http_port != 0) {
        plan.boot_file = http_url(server, script_path.substr(1));
        if (client != nullptr && !client->macs.empty()) plan.boot_file += "?mac=" + client->macs.front().text('-');
    } else if (client != nullptr && client->boot == BootMethod::sanboot && firmware.ipxe_iscsi && server.iscsi_port != 0) {
        plan.root_path = root_path(*client, server);
    } else if (server.tftp_port != 0) {
        plan.boot_file = script_path.substr(1);
    }
    plan.boots = !plan.boot_file.empty() || !plan.root_path.empty();
    return plan;
}

/// An initiator in the firmware (OVMF's own) asks without class or architecture and takes a root path nobody asked for.
BootPlan plan_plain(const Client* client, const BootServer& server) {
    BootPlan plan;
    if (client == nullptr || client->boot != BootMethod::sanboot || server.iscsi_port == 0 || !has_boot_disk(*client)) return plan;
    plan.root_path = root_path(*client, server);
    plan.boots = true;
    return plan;
}

}  // namespace

std::string_view loader_for(Architecture architecture) noexcept {
    switch (architecture) {
        case Architecture::bios: return "undionly.kpxe";
        case Architecture::efi_x64:
        case Architecture::efi_bc:
        case Architecture::http_x64:
        case Architecture::http_bc: return "snponly.efi";
        case Architecture::efi_ia32:
        case Architecture::http_ia32: return "snponly-ia32.efi";
        case Architecture::efi_arm64:
        case Architecture::http_arm64: return "snponly-arm64.efi";
        case Architecture::efi_arm32:
        case Architecture::http_arm32: return "snponly-arm32.efi";
    }
    return {};
}

std::string target_name(std::string_view prefix, std::string_view name) { return fmt::format("{}:{}", prefix, name); }
std::string initiator_name(std::string_view prefix, std::string_view client) { return fmt::format("{}.initiator:{}", prefix, client); }

// The boot disk is LUN 0. Its field says so, though empty means the same (RFC 4173 5), because readers of a log should not have to know.
std::string root_path(const Client& client, const BootServer& server) {
    return fmt::format("iscsi:{}::{}:0:{}", server.host(), server.iscsi_port, target_name(server.target_prefix, client.name));
}

BootPlan plan_boot(const Client* client, const Firmware& firmware, const BootServer& server) {
    if (leaves_to_itself(client) && firmware.stage != Stage::ipxe) return {};
    switch (firmware.stage) {
        case Stage::pxe_rom: return plan_pxe(client, firmware, server);
        case Stage::http_firmware: return plan_http(client, firmware, server);
        case Stage::ipxe: return plan_ipxe(client, firmware, server);
        case Stage::san_firmware:
        case Stage::plain: return plan_plain(client, server);
        case Stage::system: return {};
    }
    return {};
}

}  // namespace diskless::boot
