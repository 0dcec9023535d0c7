// A child process with its output on pipes. It dies with the thread that started it, so nothing writes on when the server was killed.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace diskless::importing {

struct Ended {
    int status = 0;  ///< its exit code, or 128 + signal; 127: there is no such program
    std::string out;
    std::string err;
};

/// Runs `arguments` (the program first, looked up in PATH) to its end. `tick` is called with what came on its standard output so far, at
/// least every 200 ms; what it throws ends the child. Throws Stopped when told to stop.
[[nodiscard]] Ended run_child(const std::vector<std::string>& arguments, const std::stop_token& stop,
                              const std::function<void(std::string_view out)>& tick = {});

}  // namespace diskless::importing
