// Locks that a killed process still holds: a child it had just forked, or the kernel, which closes its io_uring a moment later.
#pragma once

#include <chrono>
#include <concepts>
#include <thread>

namespace diskless {

/// Calls `attempt` until it says true, for two seconds at most. Blocks.
template<std::predicate Attempt>
[[nodiscard]] bool lock_patiently(Attempt&& attempt) {
    constexpr std::chrono::seconds patience{2};
    constexpr std::chrono::milliseconds retry{20};
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!attempt()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(retry);
    }
    return true;
}

}  // namespace diskless
