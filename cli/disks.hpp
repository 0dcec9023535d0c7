// diskless disk: the disks that clients and declared targets have.
#pragma once

#include <string>
#include <vector>

#include "cli/api_client.hpp"

namespace diskless::cli {

/// `words`: what follows "disk" on the command line. The exit code.
int disks(const ApiClient& api, const std::vector<std::string>& words, bool as_json);
int print_disk_help();

}  // namespace diskless::cli
