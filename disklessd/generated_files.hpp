// Files that exist only for the client that asks: its iPXE script, for loaders that fetch it by TFTP.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "boot/address_book.hpp"
#include "boot/plan.hpp"

namespace diskless {

/// Nothing: there is no generated file of that name, or not for this machine.
[[nodiscard]] std::optional<std::string> generated_file(std::string_view name, const boot::Client* client, const boot::BootServer& server,
                                                        bool serves_unknown);

}  // namespace diskless
