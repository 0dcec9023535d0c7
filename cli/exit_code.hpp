// Exit codes of `diskless`, as those of disklessd.
#pragma once

namespace diskless::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_wrong_input = 2;

}  // namespace diskless::cli
