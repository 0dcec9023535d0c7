// diskless import-dhcp FILE: another DHCP server's configuration as tables of ours. Needs no running server.
#pragma once

#include <string>
#include <vector>

namespace diskless::cli {

/// The tables go to standard output, what was left out to standard error. The exit code.
[[nodiscard]] int import_dhcp(const std::vector<std::string>& words);

}  // namespace diskless::cli
