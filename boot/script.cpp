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

/// Who the machine is towards its disk. The settings go on to the system by the iBFT, so a kernel boot needs them no less.
std::string login_lines(const Client& client, const BootServer& server, const ChapAccount* account) {
    std::string lines = fmt::format("set initiator-iqn {}\n", initiator_name(server.target_prefix, client.name));
    if (account != nullptr) {
        fmt::format_to(std::back_inserter(lines), "set username {}\nset password {}\n", account->user, account->secret);
        if (!account->target_user.empty())
            fmt::format_to(std::back_inserter(lines), "set reverse-username {}\nset reverse-password {}\n", account->target_user,
                           account->target_secret);
    } else if (!client.chap.empty()) {
        lines += "echo diskless: the disk wants a secret, which is told over HTTP and to this machine's own address only\n";
    }
    return lines;
}

std::string sanboot_lines(const Client& client, const BootServer& server, const ChapAccount* account) {
    return fmt::format("{}sanboot {} || goto failed\n", login_lines(client, server, account), root_path(client, server));
}

// An EFI kernel finds its initrd only by the `initrd=` argument, which names the image as iPXE registered it; BIOS kernels ignore it.
std::string kernel_lines(const Client& client, const BootServer& server, const ChapAccount* account) {
    std::string lines = login_lines(client, server, account);
    const bool initrd = !client.kernel.initrd.empty();
    const std::string initrd_name = std::filesystem::path{client.kernel.initrd}.filename().string();
    fmt::format_to(std::back_inserter(lines), "kernel {}{}{} {} || goto failed\n", boot_url(server, client.kernel.kernel),
                   initrd ? " initrd=" : "", initrd_name, expand_cmdline(client, server, account));
    if (initrd)
        fmt::format_to(std::back_inserter(lines), "initrd --name {} {} || goto failed\n", initrd_name,
                       boot_url(server, client.kernel.initrd));
    lines += "boot || goto failed\n";
    return lines;
}

constexpr std::string_view local_lines =
    "iseq ${platform} efi && exit ||\n"
    "sanboot --no-describe --drive 0x80 || exit\n";

std::string menu_lines(const Client* client, const BootServer& server, const ChapAccount* account) {
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
    if (client != nullptr && !client->disks.empty()) lines += ":san\n" + sanboot_lines(*client, server, account);
    if (client != nullptr && !client->kernel.cmdline.empty()) lines += ":kernel\n" + kernel_lines(*client, server, account);
    lines += ":local\n";
    lines += local_lines;
    lines += ":shell\nshell\ngoto start\n:reboot\nreboot\n";
    return lines;
}

std::string body(const Client* client, const BootServer& server, const ChapAccount* account) {
    if (client == nullptr) return menu_lines(nullptr, server, nullptr);
    switch (client->boot) {
        case BootMethod::sanboot: return sanboot_lines(*client, server, account);
        case BootMethod::kernel: return kernel_lines(*client, server, account);
        case BootMethod::menu: return menu_lines(client, server, account);
        case BootMethod::script: return fmt::format("chain --autofree {} || goto failed\n", boot_url(server, client->script));
        case BootMethod::local: return std::string{local_lines};
    }
    return {};
}

/// As open-iscsi's initramfs hook reads them. A kernel's command line is no secret on the machine itself: /proc/cmdline shows it.
std::string initramfs_credentials(const ChapAccount* account) {
    if (account == nullptr) return {};
    std::string words = fmt::format(" iscsi_username={} iscsi_password={}", account->user, account->secret);
    if (!account->target_user.empty())
        fmt::format_to(std::back_inserter(words), " iscsi_in_username={} iscsi_in_password={}", account->target_user,
                       account->target_secret);
    return words;
}

/// As dracut.cmdline(7) has them.
std::string dracut_credentials(const ChapAccount* account) {
    if (account == nullptr) return {};
    std::string words = fmt::format(" rd.iscsi.username={} rd.iscsi.password={}", account->user, account->secret);
    if (!account->target_user.empty())
        fmt::format_to(std::back_inserter(words), " rd.iscsi.in.username={} rd.iscsi.in.password={}", account->target_user,
                       account->target_secret);
    return words;
}

}  // namespace

std::string ipxe_script(const Client* client, const BootServer& server, const ChapAccount* account) {
    return fmt::format("#!ipxe\n:start\n{}{}", body(client, server, account), try_again);
}

std::string expand_cmdline(const Client& client, const BootServer& server, const ChapAccount* account) {
    const std::string target = target_name(server.target_prefix, client.name);
    const std::string initiator = initiator_name(server.target_prefix, client.name);
    const std::array<std::pair<std::string_view, std::string>, 7> words{{
        // open-iscsi's initramfs hook, as on Debian and its descendants
        {"{iscsi}", fmt::format("iscsi_initiator={} iscsi_target_name={} iscsi_target_ip={} iscsi_target_port={} iscsi_target_group=1{}",
                                initiator, target, server.address, server.iscsi_port, initramfs_credentials(account))},
        // dracut, as on Fedora, SUSE and theirs
        {"{dracut}", fmt::format("rd.iscsi.initiator={} netroot={}{}", initiator, root_path(client, server), dracut_credentials(account))},
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
