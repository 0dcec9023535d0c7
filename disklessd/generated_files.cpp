#include "disklessd/generated_files.hpp"

#include "boot/script.hpp"

namespace diskless {

std::optional<std::string> generated_file(std::string_view name, const boot::Client* client, const boot::BootServer& server,
                                          bool serves_unknown) {
    if (name != boot::script_path.substr(1) || (client == nullptr && !serves_unknown)) return std::nullopt;
    return boot::ipxe_script(client, server);
}

}  // namespace diskless
