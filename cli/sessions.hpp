// diskless sessions: who is logged in to the iSCSI target, and how to end that.
#pragma once

#include <string>
#include <vector>

#include "cli/api_client.hpp"

namespace diskless::cli {

/// `words`: what follows "sessions" on the command line. The exit code.
int sessions(const ApiClient& api, const std::vector<std::string>& words, bool as_json);

}  // namespace diskless::cli
