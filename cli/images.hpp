// diskless image: golden images and their versions.
#pragma once

#include <string>
#include <vector>

#include "cli/api_client.hpp"

namespace diskless::cli {

/// `words`: what follows "image" on the command line. The exit code.
int images(const ApiClient& api, const std::vector<std::string>& words, bool as_json);
int print_image_help();

}  // namespace diskless::cli
