#include "disklessd/boot_desk.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "boot/script.hpp"
#include "common/log.hpp"

namespace diskless {
namespace {

using boot::Architecture;
using boot::Firmware;
using boot::Refusal;
using boot::Stage;

constexpr std::uint16_t discard_port = 9;  // where magic packets are sent by custom; a sleeping card looks at their bytes alone
constexpr std::size_t magic_bytes = 6 + 16 * 6;

struct Kind {
    const char* name = "";
    Firmware firmware;
};
constexpr std::array<Kind, 7> kinds{{
    {"BIOS", {.stage = Stage::pxe_rom, .architecture = Architecture::bios}},
    {"UEFI x64", {.stage = Stage::pxe_rom, .architecture = Architecture::efi_x64}},
    {"UEFI ia32", {.stage = Stage::pxe_rom, .architecture = Architecture::efi_ia32}},
    {"UEFI arm64", {.stage = Stage::pxe_rom, .architecture = Architecture::efi_arm64}},
    {"UEFI x64 over HTTP", {.stage = Stage::http_firmware, .architecture = Architecture::http_x64}},
    {"UEFI arm64 over HTTP", {.stage = Stage::http_firmware, .architecture = Architecture::http_arm64}},
    {"iPXE", {.stage = Stage::ipxe, .ipxe_http = true, .ipxe_iscsi = true}},
}};

/// Six bytes of ones, then the card's own address sixteen times.
std::array<std::byte, magic_bytes> magic_packet(const MacAddress& mac) {
    std::array<std::byte, magic_bytes> packet{};
    std::fill_n(packet.begin(), 6, std::byte{0xff});
    for (std::size_t at = 6; at < packet.size(); at += mac.octets.size())
        std::ranges::copy(mac.octets, packet.begin() + static_cast<std::ptrdiff_t>(at));
    return packet;
}

/// 0, or the errno.
int broadcast(const std::vector<MacAddress>& macs, const std::string& interface) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const int on = 1;
    (void)::setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    int error = 0;
    if (!interface.empty() &&
        ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size())) != 0)
        error = errno;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(discard_port);
    to.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    for (const MacAddress& mac : macs) {
        const auto packet = magic_packet(mac);
        if (error == 0 && ::sendto(fd, packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0)
            error = errno;
    }
    ::close(fd);
    return error;
}

Refusal unknown(const std::string& client) {
    return {Refusal::Kind::not_found, fmt::format("there is no client '{}'; declare it, or see [unknown_clients]", client)};
}

const boot::Client* find(const boot::Catalog& catalog, const std::string& name) {
    const auto found = std::ranges::find(catalog.clients(), name, &boot::Client::name);
    return found == catalog.clients().end() ? nullptr : &*found;
}

/// Why a client cannot boot so once; empty: it can.
std::string why_not(const boot::Client& client, const std::string& choice, const boot::Catalog& catalog) {
    const auto method = boot::boot_method(choice);
    if (choice.empty() || method == boot::BootMethod::local || method == boot::BootMethod::menu) return {};
    if (method == boot::BootMethod::sanboot)
        return std::ranges::find(client.disks, 0, &boot::Disk::lun) != client.disks.end()
                   ? ""
                   : fmt::format("{} has no disk with LUN 0", client.name);
    if (method == boot::BootMethod::kernel)
        return client.kernel.cmdline.empty() ? fmt::format("{} has no cmdline; write kernel, initrd and cmdline", client.name) : "";
    if (method == boot::BootMethod::script) return client.script.empty() ? fmt::format("{} has no script", client.name) : "";
    if (catalog.tool(choice) != nullptr) return {};
    return fmt::format("'{}' is neither a boot method (sanboot, kernel, menu, script, local) nor a declared [[tool]]", choice);
}

}  // namespace

BootDesk::BootDesk(boot::CurrentCatalog& catalog, const boot::AddressBook& addresses, boot::BootServer server, std::string interface,
                   KeepChoice keep)
    : catalog_{catalog}, addresses_{addresses}, server_{std::move(server)}, interface_{std::move(interface)}, keep_{std::move(keep)} {}

boot::OrRefusal<boot::BootView> BootDesk::set_next_boot(const std::string& name, const std::string& choice) {
    {
        const auto catalog = catalog_.get();
        const boot::Client* client = find(*catalog, name);
        if (client == nullptr) return std::unexpected{unknown(name)};
        if (std::string why = why_not(*client, choice, *catalog); !why.empty())
            return std::unexpected{Refusal{Refusal::Kind::conflict, std::move(why)}};
    }
    keep_(name, choice);
    log::info("client.next_boot", "client={} choice={}", name, choice.empty() ? "-" : choice);
    return boot_of(name);
}

boot::OrRefusal<boot::BootView> BootDesk::boot_of(const std::string& name) {
    const auto catalog = catalog_.get();
    const boot::Client* client = find(*catalog, name);
    if (client == nullptr) return std::unexpected{unknown(name)};
    boot::BootView view{.client = client->name,
                        .method = std::string{boot::name_of(client->boot)},
                        .target = boot::target_name(server_.target_prefix, client->name),
                        .next_boot = client->next_boot,
                        .script = {}};
    for (const MacAddress& mac : client->macs) view.macs.push_back(mac.text());
    std::optional<Ipv4Address> address = client->address;
    for (std::size_t i = 0; !address && i < client->macs.size(); ++i) address = addresses_.address_of(client->macs[i]);
    if (address) view.address = address->text();
    view.script = boot::ipxe_script(client, server_, {.tools = catalog->data().tools, .address = address});
    for (const Kind& kind : kinds) {
        const boot::BootPlan plan = boot::plan_boot(client, kind.firmware, server_);
        view.loaders.push_back({kind.name, plan.boot_file.empty() ? plan.root_path : plan.boot_file});
    }
    return view;
}

boot::OrRefusal<std::size_t> BootDesk::wake(const std::string& name) {
    const auto catalog = catalog_.get();
    const boot::Client* client = find(*catalog, name);
    if (client == nullptr) return std::unexpected{unknown(name)};
    if (client->macs.empty())
        return std::unexpected{Refusal{Refusal::Kind::conflict, fmt::format("{} has no MAC to wake it by; declare its mac", name)}};
    if (const int error = broadcast(client->macs, interface_); error != 0)
        return std::unexpected{Refusal{Refusal::Kind::failed, fmt::format("the magic packet cannot be sent: {}", std::strerror(error))}};
    log::info("client.woken", "client={} cards={}", name, client->macs.size());
    return client->macs.size();
}

}  // namespace diskless
