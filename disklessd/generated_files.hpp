// Files that exist only for the client that asks: its iPXE script, and the configurations of GRUB and PXELINUX.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "boot/address_book.hpp"
#include "boot/plan.hpp"

namespace diskless {

/// `asking`: who sits at the address that asks; nullptr: nobody we know. Files with a MAC in their name are that machine's, whoever asks.
/// Nothing: there is no generated file of that name, or not for this machine.
[[nodiscard]] std::optional<std::string> generated_file(std::string_view name, const boot::Catalog& catalog, const boot::Client* asking,
                                                        const boot::BootServer& server, bool serves_unknown);

}  // namespace diskless
