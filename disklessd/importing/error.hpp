// How an import ends before its time.
#pragma once

#include <stdexcept>
#include <stop_token>

namespace diskless::importing {

/// One line that says what is wrong and what to do.
class ImportError : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

/// It was told to stop.
class Stopped : public std::exception {
 public:
    [[nodiscard]] const char* what() const noexcept override { return "stopped"; }
};

inline void stop_here(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Stopped{};
}

}  // namespace diskless::importing
