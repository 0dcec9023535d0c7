// What one session has done, counted on its strand and read from anywhere (the session list, the counters).
#pragma once

#include <atomic>
#include <cstdint>

namespace diskless::iscsi {

/// A count with one writer: adding costs no locked instruction.
class Tally {
 public:
    void add(std::uint64_t n = 1) noexcept { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
    void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
    std::atomic<std::uint64_t> value_{0};
};

struct SessionStatistics {
    Tally commands;
    Tally read_bytes;
    Tally written_bytes;
    Tally r2ts;
    Tally aborts;
    Tally rejects;
    Tally check_conditions;
    Tally dropped_pdus;  ///< outside the window, or data nobody waits for
    Tally queue_depth;   ///< commands under way now
};

}  // namespace diskless::iscsi
