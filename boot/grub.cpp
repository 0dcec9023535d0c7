#include "boot/grub.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "boot/script.hpp"

namespace diskless::boot {
namespace {

std::string_view without_slashes(std::string_view path) noexcept {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    return path;
}

bool has_kernel(const Client* client) noexcept {
    return client != nullptr && !client->kernel.kernel.empty() && !client->kernel.cmdline.empty();
}

/// Why this machine does not boot by this loader, with a remedy; empty: it does.
std::string obstacle(const Client* client) {
    if (client == nullptr) return "nobody declared this machine";
    if (client->boot == BootMethod::local) return "";
    if (!has_kernel(client))
        return fmt::format("{} has no kernel to boot: this loader cannot log in to a disk; write boot = kernel, kernel, initrd and cmdline",
                           client->name);
    if (!client->chap.empty())
        return fmt::format("the disk of {} wants a secret, which is not told over TFTP; boot it by iPXE, or without chap", client->name);
    return "";
}

}  // namespace

std::string grub_quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view{" ._=/:,+-@%"}.contains(c);
        if (!plain) out += '\\';
        out += c;
    }
    return out;
}

std::string grub_config(const Client* client, const BootServer& server) {
    if (const std::string why = obstacle(client); !why.empty())
        return fmt::format("echo {}\nsleep 30\nexit\n", grub_quoted("diskless: " + why));
    if (client->boot == BootMethod::local) return "exit\n";
    const auto file = [&](std::string_view path) { return grub_quoted(fmt::format("/{}", without_slashes(path))); };
    std::string out =
        fmt::format("echo {}\nlinux (tftp,{}){} {}\n", grub_quoted(fmt::format("diskless: loading Linux for {}", client->name)),
                    server.told(), file(client->kernel.kernel), grub_quoted(expand_cmdline(*client, server)));
    if (!client->kernel.initrd.empty())
        fmt::format_to(std::back_inserter(out), "initrd (tftp,{}){}\n", server.told(), file(client->kernel.initrd));
    return out + "boot\n";
}

std::string pxelinux_config(const Client* client, const BootServer& server) {
    if (const std::string why = obstacle(client); !why.empty()) return fmt::format("SAY diskless: {}\nDEFAULT none\n", why);
    if (client->boot == BootMethod::local) return "DEFAULT local\nLABEL local\n  LOCALBOOT -1\n";
    std::string out = fmt::format("DEFAULT linux\nLABEL linux\n  KERNEL ::/{}\n", without_slashes(client->kernel.kernel));
    if (!client->kernel.initrd.empty()) fmt::format_to(std::back_inserter(out), "  INITRD ::/{}\n", without_slashes(client->kernel.initrd));
    return out + fmt::format("  APPEND {}\n", expand_cmdline(*client, server));
}

}  // namespace diskless::boot
