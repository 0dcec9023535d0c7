#include "boot/script.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <utility>

namespace diskless::boot {
namespace {

/// Where iPXE finds files of the boot root: HTTP, and TFTP when HTTP is off.
std::string boot_url(const BootServer& server, std::string_view path) {
    while (path.starts_with('/')) path.remove_prefix(1);
    if (server.http_port != 0) return fmt::format("http://{}:{}/boot/{}", server.address, server.http_port, path);
    return fmt::format("tftp://{}:{}/{}", server.address, server.tftp_port, path);
}

/// A server that restarts, or a disk in use for another moment, must not leave a machine dead at a prompt: it tries again for ever.
constexpr std::string_view try_again =
    "\n:failed\n"
    "echo diskless: that did not work, trying again in 5 seconds (Ctrl-C stops)\n"
    "sleep 5\n"
    "goto start\n";

std::string sanboot_lines(const Client& client, const BootServer& server) {
    return fmt::format("set initiator-iqn {}\nsanboot {} || goto failed\n", initiator_name(server.target_prefix, client.name),
                       root_path(client, server));
}

// An EFI kernel finds its initrd only by the `initrd=` argument, which names the image as iPXE registered it; BIOS kernels ignore it.
std::string kernel_lines(const Client& client, const BootServer& server) {
    std::string lines = fmt::format("set initiator-iqn {}\n", initiator_name(server.target_prefix, client.name));
    const bool initrd = !client.kernel.initrd.empty();
    const std::string initrd_name = std::filesystem::path{client.kernel.initrd}.filename().string();
    fmt::format_to(std::back_inserter(lines), "kernel {}{}{} {} || goto failed\n", boot_url(server, client.kernel.kernel),
                   initrd ? " initrd=" : "", initrd_name, expand_cmdline(client, server));
    if (initrd)
        fmt::format_to(std::back_inserter(lines), "initrd --name {} {} || goto failed\n", initrd_name,
                       boot_url(server, client.kernel.initrd));
    lines += "boot || goto failed\n";
    return lines;
}

constexpr std::string_view local_lines =
    "iseq ${platform} efi && exit ||\n"
    "sanboot --no-describe --drive 0x80 || exit\n";

std::string menu_lines(const Client* client, const BootServer& server) {
    std::string lines =
        fmt::format("menu {}\n", client != nullptr ? client->name : "diskless: this machine is not known here (${net0/mac})");
    if (client != nullptr && !client->disks.empty()) lines += "item san Boot from its network disk\n";
    if (client != nullptr && !client->kernel.cmdline.empty()) lines += "item kernel Boot its kernel\n";
    lines +=
        "item local Boot from the local disk\n"
        "item shell iPXE shell\n"
        "item reboot Restart\n"
        "choose --timeout 30000 choice || set choice local\n"
        "goto ${choice}\n";
    if (client != nullptr && !client->disks.empty()) lines += ":san\n" + sanboot_lines(*client, server);
    if (client != nullptr && !client->kernel.cmdline.empty()) lines += ":kernel\n" + kernel_lines(*client, server);
    lines += ":local\n";
    lines += local_lines;
    lines += ":shell\nshell\ngoto start\n:reboot\nreboot\n";
    return lines;
}

std::string body(const Client* client, const BootServer& server) {
    if (client == nullptr) return menu_lines(nullptr, server);
    switch (client->boot) {
        case BootMethod::sanboot: return sanboot_lines(*client, server);
        case BootMethod::kernel: return kernel_lines(*client, server);
        case BootMethod::menu: return menu_lines(client, server);
        case BootMethod::script: return fmt::format("chain --autofree {} || goto failed\n", boot_url(server, client->script));
        case BootMethod::local: return std::string{local_lines};
    }
    return {};
}

}  // namespace

std::string ipxe_script(const Client* client, const BootServer& server) {
    return fmt::format("#!ipxe\n:start\n{}{}", body(client, server), try_again);
}

std::string expand_cmdline(const Client& client, const BootServer& server) {
    const std::string target = target_name(server.target_prefix, client.name);
    const std::string initiator = initiator_name(server.target_prefix, client.name);
    const std::array<std::pair<std::string_view, std::string>, 7> words{{
        // open-iscsi's initramfs hook, as on Debian and its descendants
        {"{iscsi}", fmt::format("iscsi_initiator={} iscsi_target_name={} iscsi_target_ip={} iscsi_target_port={} iscsi_target_group=1",
                                initiator, target, server.address, server.iscsi_port)},
        // dracut, as on Fedora, SUSE and theirs
        {"{dracut}", fmt::format("rd.iscsi.initiator={} netroot={}", initiator, root_path(client, server))},
        {"{target}", target},
        {"{initiator}", initiator},
        {"{client}", client.name},
        {"{server}", server.address.text()},
        {"{address}", client.address ? client.address->text() : std::string{}},
    }};
    std::string out;
    std::string_view rest = client.kernel.cmdline;
    while (!rest.empty()) {
        bool replaced = false;
        for (const auto& [word, value] : words) {
            if (!rest.starts_with(word)) continue;
            out += value;
            rest.remove_prefix(word.size());
            replaced = true;
            break;
        }
        if (replaced) continue;
        out += rest.front();
        rest.remove_prefix(1);
    }
    return out;
}

}  // namespace diskless::boot
