#include "boot/client.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace diskless::boot {
namespace {

template<class Enum, std::size_t n>
using Names = std::array<std::pair<Enum, std::string_view>, n>;

constexpr Names<BootMethod, 5> boot_methods{{{BootMethod::sanboot, "sanboot"},
                                             {BootMethod::kernel, "kernel"},
                                             {BootMethod::menu, "menu"},
                                             {BootMethod::script, "script"},
                                             {BootMethod::local, "local"}}};
constexpr Names<LocalExit, 4> local_exits{
    {{LocalExit::automatic, "auto"}, {LocalExit::exit, "exit"}, {LocalExit::drive, "drive"}, {LocalExit::poweroff, "poweroff"}}};
constexpr Names<DiskMode, 4> disk_modes{{{DiskMode::persistent, "persistent"},
                                         {DiskMode::ephemeral, "ephemeral"},
                                         {DiskMode::read_only, "read-only"},
                                         {DiskMode::shared, "shared"}}};

template<class Enum, std::size_t n>
std::string_view find_name(const Names<Enum, n>& names, Enum value) noexcept {
    const auto found = std::ranges::find(names, value, &std::pair<Enum, std::string_view>::first);
    return found == names.end() ? std::string_view{} : found->second;
}

template<class Enum, std::size_t n>
std::optional<Enum> find_value(const Names<Enum, n>& names, std::string_view name) noexcept {
    const auto found = std::ranges::find(names, name, &std::pair<Enum, std::string_view>::second);
    if (found == names.end()) return std::nullopt;
    return found->first;
}

}  // namespace

std::string_view name_of(BootMethod method) noexcept { return find_name(boot_methods, method); }
std::optional<BootMethod> boot_method(std::string_view name) noexcept { return find_value(boot_methods, name); }
std::string_view name_of(LocalExit exit) noexcept { return find_name(local_exits, exit); }
std::optional<LocalExit> local_exit(std::string_view name) noexcept { return find_value(local_exits, name); }
std::string_view name_of(DiskMode mode) noexcept { return find_name(disk_modes, mode); }
std::optional<DiskMode> disk_mode(std::string_view name) noexcept { return find_value(disk_modes, name); }

void choose_next_boot(Client& client, const std::string& choice) {
    client.next_boot = choice;
    if (const auto method = boot_method(choice)) {
        client.boot = *method;
    } else {
        client.tool = choice;
    }
}

Client resolve(const ClientEntry& entry, const Group* group) {
    const auto pick = [&](auto member, auto fallback) {
        if (const auto& own = entry.settings.*member) return *own;
        if (group != nullptr) {
            if (const auto& inherited = group->settings.*member) return *inherited;
        }
        return fallback;
    };
    Client client{.name = entry.name,
                  .macs = entry.macs,
                  .uuid = entry.uuid,
                  .address = entry.address,
                  .group = entry.group,
                  .initiators = entry.initiators,
                  .addresses = entry.addresses,
                  .chap = entry.chap,
                  .declared = entry.declared};
    const KernelBoot defaults;
    client.boot = pick(&BootSettings::boot, client.boot);
    client.kernel.kernel = pick(&BootSettings::kernel, defaults.kernel);
    client.kernel.initrd = pick(&BootSettings::initrd, defaults.initrd);
    client.kernel.cmdline = pick(&BootSettings::cmdline, defaults.cmdline);
    client.script = pick(&BootSettings::script, std::string{});
    client.loader = pick(&BootSettings::loader, std::string{});
    const Menu menu;
    client.menu.choice = pick(&BootSettings::menu_default, menu.choice);
    client.menu.timeout = pick(&BootSettings::menu_timeout, menu.timeout);
    client.menu.password = pick(&BootSettings::menu_password, menu.password);
    client.menu.tools = pick(&BootSettings::tools, menu.tools);
    client.local_exit = pick(&BootSettings::local_exit, client.local_exit);
    client.disks = pick(&BootSettings::disks, std::vector<Disk>{});
    client.dhcp_options =
        with_defaults(entry.settings.dhcp_options, group != nullptr ? group->settings.dhcp_options : std::vector<DhcpOption>{});
    return client;
}

}  // namespace diskless::boot
