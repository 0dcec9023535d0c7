#include "disklessd/generated_files.hpp"

#include <array>

#include "boot/grub.hpp"
#include "boot/script.hpp"

namespace diskless {
namespace {

using Make = std::string (*)(const boot::Client*, const boot::BootServer&, const boot::Catalog&);

struct Generated {
    std::string_view name;
    bool has_mac;  ///< behind the name, as "01-52-54-00-12-34-01": the hardware type and the address
    Make make;
};
constexpr Make grub = [](const boot::Client* client, const boot::BootServer& server, const boot::Catalog&) {
    return boot::grub_config(client, server);
};
constexpr Make pxelinux = [](const boot::Client* client, const boot::BootServer& server, const boot::Catalog&) {
    return boot::pxelinux_config(client, server);
};
constexpr std::array<Generated, 5> all{{
    {"boot.ipxe", false,
     [](const boot::Client* client, const boot::BootServer& server, const boot::Catalog& catalog) {
         return boot::ipxe_script(client, server, {.tools = catalog.data().tools});
     }},
    {"grub/grub.cfg", false, grub},
    {"grub/grub.cfg-01-", true, grub},
    {"grub.cfg-01-", true, grub},
    {"pxelinux.cfg/01-", true, pxelinux},
}};

}  // namespace

std::optional<std::string> generated_file(std::string_view name, const boot::Catalog& catalog, const boot::Client* asking,
                                          const boot::BootServer& server, bool serves_unknown) {
    for (const Generated& file : all) {
        const boot::Client* client = asking;
        if (file.has_mac) {
            if (!name.starts_with(file.name)) continue;
            const auto mac = MacAddress::parse(name.substr(file.name.size()));
            if (!mac) continue;
            client = catalog.by_mac(*mac);
        } else if (name != file.name) {
            continue;
        }
        if (client == nullptr && !serves_unknown) return std::nullopt;
        return file.make(client, server, catalog);
    }
    return std::nullopt;
}

}  // namespace diskless
