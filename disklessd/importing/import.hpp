// One import, from a user's file to a whole raw disk on stable storage. Blocks for as long as it takes.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "disklessd/importing/progress.hpp"

namespace diskless::importing {

struct Limits {
    std::uint64_t reserve_bytes = std::uint64_t{64} << 20;    ///< of the file system stay free: the database lives there too
    std::uint64_t safe_point_bytes = std::uint64_t{1} << 30;  ///< an interrupted copy goes on from a multiple of this
};

/// How far a copy is on stable storage, and of what: source_mark tells whether the source is still the same.
struct SafePoint {
    std::uint64_t bytes = 0;
    std::string source_mark;
};

struct Order {
    std::filesystem::path source;   ///< absolute
    std::string format;             ///< as the user stated it; empty: recognise it
    std::filesystem::path working;  ///< the file to be made; what is there is of an interrupted attempt
    SafePoint reached;              ///< by that attempt
};

struct Made {
    std::uint64_t size_bytes = 0;
    std::string digest;   ///< "sha256:…"
    std::string warning;  ///< one line, or empty
};

/// Throws ImportError with one line that says what is wrong, or Stopped. `keep` is called at every safe point.
[[nodiscard]] Made make_disk(const Order& order, const Limits& limits, Progress& progress, const std::stop_token& stop,
                             const std::function<void(const SafePoint&)>& keep);

/// Opened once to see that it can be: so that a wrong name is told at once. Throws ImportError.
void examine_source(const std::filesystem::path& source);

/// Removes what make_disk() leaves when it does not get to its end.
void discard(const std::filesystem::path& working);

}  // namespace diskless::importing
