// Waits for an import and shows how far it is.
#pragma once

#include "cli/api_client.hpp"

namespace diskless::cli {

/// `import` as the server told it. Progress goes to stderr: on a terminal one line that changes, elsewhere a line every 10 %. The exit
/// code; Ctrl-C ends the waiting, not the import.
int watch_import(const ApiClient& api, const boost::json::object& import, bool as_json);

}  // namespace diskless::cli
