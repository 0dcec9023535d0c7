#include "boot/script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

namespace diskless::boot {
namespace {

/// Where iPXE finds files of the boot root: HTTP, and TFTP when HTTP is off.
std::string boot_url(const BootServer& server, std::string_view path) {
    while (path.starts_with('/')) path.remove_prefix(1);
    if (server.http_port != 0) return fmt::format("http://{}:{}/boot/{}", server.host(), server.http_port, path);
    return fmt::format("tftp://{}:{}/{}", server.host(), server.tftp_port, path);
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

/// Windows, and others who take the firmware's word for it, send their iSCSI packets to the gateway even where the target is next door.
std::string gateway_line(const BootServer& server, const ScriptSetting& setting) {
    const bool on_link =
        setting.address && std::ranges::any_of(server.links, [&](const Ipv4Network& link) { return link.contains(*setting.address); });
    return on_link ? "set netX/gateway 0.0.0.0\n" : "";
}

std::string sanboot_lines(const Client& client, const BootServer& server, const ScriptSetting& setting) {
    return fmt::format("{}{}sanboot {} || goto failed\n", login_lines(client, server, setting.account), gateway_line(server, setting),
                       root_path(client, server));
}

// An EFI kernel finds its initrd only by the `initrd=` argument, which names the image as iPXE registered it; BIOS kernels ignore it.
std::string linux_lines(const KernelBoot& linux, std::string_view cmdline, const BootServer& server) {
    const bool initrd = !linux.initrd.empty();
    const std::string initrd_name = std::filesystem::path{linux.initrd}.filename().string();
    std::string lines =
        fmt::format("kernel {}{}{} {} || goto failed\n", boot_url(server, linux.kernel), initrd ? " initrd=" : "", initrd_name, cmdline);
    if (initrd)
        fmt::format_to(std::back_inserter(lines), "initrd --name {} {} || goto failed\n", initrd_name, boot_url(server, linux.initrd));
    lines += "boot || goto failed\n";
    return lines;
}

std::string kernel_lines(const Client& client, const BootServer& server, const ScriptSetting& setting) {
    return login_lines(client, server, setting.account) +
           linux_lines(client.kernel, expand_cmdline(client, server, setting.account), server);
}

std::string chain_lines(const BootServer& server, std::string_view script) {
    return fmt::format("chain --autofree {} || goto failed\n", boot_url(server, script));
}

std::string_view local_lines(LocalExit how) noexcept {
    switch (how) {
        case LocalExit::automatic:
            return "iseq ${platform} efi && exit ||\n"
                   "sanboot --no-describe --drive 0x80 || exit\n";
        case LocalExit::exit: return "exit\n";
        case LocalExit::drive: return "sanboot --no-describe --drive 0x80 || goto failed\n";
        case LocalExit::poweroff: return "poweroff || exit\n";
    }
    return {};
}

/// A tool's command line knows the client where there is one.
std::string tool_lines(const Client* client, const Tool& tool, const BootServer& server) {
    if (!tool.iso.empty()) return fmt::format("sanboot --no-describe --drive 0x81 {} || goto failed\n", boot_url(server, tool.iso));
    if (!tool.script.empty()) return chain_lines(server, tool.script);
    Client shown = client != nullptr ? *client : Client{};
    shown.kernel = {.kernel = tool.kernel, .initrd = tool.initrd, .cmdline = tool.cmdline};
    return linux_lines(shown.kernel, expand_cmdline(shown, server), server);
}

/// Back to the server with what was chosen there.
std::string ask_server(const BootServer& server, std::string_view more) {
    return fmt::format("chain --autofree --replace http://{}:{}{}?mac=${{netX/mac:hexhyp}}&{} || goto failed\n", server.host(),
                       server.http_port, script_path, more);
}

class MenuLines {
 public:
    MenuLines(const Client* client, const BootServer& server, const ScriptSetting& setting)
        : client_{client}, server_{server}, setting_{setting} {}

    std::string lines() {
        if (client_ != nullptr) own_items();
        item("local", "Boot from the local disk", std::string{local_lines(menu_exit())});
        if (client_ == nullptr) enroll_items();
        tool_items();
        guarded("shell", "iPXE shell", "shell\ngoto start\n");
        item("reboot", "Restart", "reboot\n");
        const Menu menu = client_ != nullptr ? client_->menu : Menu{};
        const std::string choice = labels_.contains(":" + menu.choice + "\n") ? menu.choice : first_;
        std::string chooser = "choose";
        if (menu.timeout.count() != 0) chooser += fmt::format(" --timeout {}", std::chrono::milliseconds{menu.timeout}.count());
        return fmt::format("menu {}\n{}{} --default {} choice || set choice local\ngoto ${{choice}}\n{}",
                           client_ != nullptr ? client_->name : "diskless: this machine is not known here (${netX/mac})", items_, chooser,
                           choice, labels_);
    }

 private:
    [[nodiscard]] LocalExit menu_exit() const noexcept { return client_ != nullptr ? client_->local_exit : LocalExit::automatic; }

    void item(std::string_view label, std::string_view title, std::string_view lines) {
        if (first_.empty()) first_ = label;
        fmt::format_to(std::back_inserter(items_), "item {} {}\n", label, title);
        fmt::format_to(std::back_inserter(labels_), ":{}\n{}", label, lines);
    }

    /// The server compares the password: it is in no script. Without HTTP nobody could, so the item is not there.
    void guarded(std::string_view label, std::string_view title, std::string_view lines) {
        if (client_ == nullptr || client_->menu.password.empty()) return item(label, title, lines);
        if (server_.http_port == 0) return;
        item(label, title, "login || goto start\n" + ask_server(server_, fmt::format("choice={}&password=${{password:uristring}}", label)));
    }

    void own_items() {
        if (!client_->disks.empty()) item("disk", "Boot from its network disk", sanboot_lines(*client_, server_, setting_));
        if (!client_->kernel.cmdline.empty()) item("kernel", "Boot its kernel", kernel_lines(*client_, server_, setting_));
    }

    void tool_items() {
        if (client_ == nullptr) return;
        for (const std::string& name : client_->menu.tools) {
            const auto tool = std::ranges::find(setting_.tools, name, &Tool::name);
            if (tool != setting_.tools.end()) guarded(name, tool->title, tool_lines(client_, *tool, server_));
        }
    }

    void enroll_items() {
        if (server_.http_port == 0) return;
        for (const std::string& group : setting_.enroll_groups) {
            const bool asks = setting_.enroll_password;
            item("enroll-" + group, "Become a machine of " + group,
                 (asks ? "login || goto start\n" : "") +
                     ask_server(server_, fmt::format("choice=enroll&group={}{}", group, asks ? "&password=${password:uristring}" : "")));
        }
    }

    const Client* client_;
    const BootServer& server_;
    const ScriptSetting& setting_;
    std::string items_, labels_, first_;
};

std::string body(const Client* client, const BootServer& server, const ScriptSetting& setting) {
    if (client == nullptr) return MenuLines{nullptr, server, setting}.lines();
    if (!client->tool.empty()) {
        const auto tool = std::ranges::find(setting.tools, client->tool, &Tool::name);
        if (tool != setting.tools.end()) return tool_lines(client, *tool, server);
    }
    switch (client->boot) {
        case BootMethod::sanboot: return sanboot_lines(*client, server, setting);
        case BootMethod::kernel: return kernel_lines(*client, server, setting);
        case BootMethod::menu: return MenuLines{client, server, setting}.lines();
        case BootMethod::script: return chain_lines(server, client->script);
        case BootMethod::local: return std::string{local_lines(client->local_exit)};
    }
    return {};
}

std::string whole(std::string_view lines) { return fmt::format("#!ipxe\n:start\n{}{}", lines, try_again); }

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

std::string ipxe_script(const Client* client, const BootServer& server, const ScriptSetting& setting) {
    return whole(body(client, server, setting));
}

std::string tool_script(const Client* client, const Tool& tool, const BootServer& server) {
    return whole(tool_lines(client, tool, server));
}

std::string shell_script() { return "#!ipxe\nshell\n"; }

std::string message_script(std::string_view text, AfterMessage then, const BootServer& server) {
    const std::string after = then == AfterMessage::restart ? "reboot\n" : ask_server(server, "choice=");
    return whole(fmt::format("echo diskless: {}\nsleep 3\n{}", text, after));
}

std::string expand_cmdline(const Client& client, const BootServer& server, const ChapAccount* account) {
    const std::string target = target_name(server.target_prefix, client.name);
    const std::string initiator = initiator_name(server.target_prefix, client.name);
    const std::array<std::pair<std::string_view, std::string>, 8> words{{
        // open-iscsi's initramfs hook, as on Debian and its descendants
        {"{iscsi}", fmt::format("iscsi_initiator={} iscsi_target_name={} iscsi_target_ip={} iscsi_target_port={} iscsi_target_group=1{}",
                                initiator, target, server.address, server.iscsi_port, initramfs_credentials(account))},
        // dracut, as on Fedora, SUSE and theirs
        {"{dracut}", fmt::format("rd.iscsi.initiator={} netroot={}{}", initiator, root_path(client, server), dracut_credentials(account))},
        {"{target}", target},
        {"{initiator}", initiator},
        {"{client}", client.name},
        {"{http}", fmt::format("http://{}:{}/boot", server.host(), server.http_port)},
        {"{server}", server.told().text()},
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
