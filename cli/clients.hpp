// diskless boot …, diskless lease …
#pragma once

#include <string>
#include <vector>

#include "cli/api_client.hpp"

namespace diskless::cli {

/// The exit code.
[[nodiscard]] int boots(const ApiClient& api, const std::vector<std::string>& words, bool as_json);
[[nodiscard]] int leases(const ApiClient& api, const std::vector<std::string>& words, bool as_json);

}  // namespace diskless::cli
