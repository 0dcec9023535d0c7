// What sessions have done, counted on their lanes and read from anywhere (the session list, the counters).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
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

/// How long commands took, from the arrival of their header to their status on its way to the socket.
class LatencyHistogram {
 public:
    /// Upper limits of the steps; one more step has none.
    static constexpr std::array<std::uint32_t, 14> limits_us = {50,     100,    250,     500,     1'000,   2'500,     5'000,
                                                                10'000, 25'000, 100'000, 250'000, 500'000, 1'000'000, 5'000'000};
    static constexpr std::size_t steps = limits_us.size() + 1;

    void add(std::chrono::microseconds taken) noexcept {
        const auto step = std::ranges::lower_bound(limits_us, taken.count());
        counts_[static_cast<std::size_t>(step - limits_us.begin())].add();
        sum_us_.add(static_cast<std::uint64_t>(taken.count()));
    }
    [[nodiscard]] std::uint64_t count(std::size_t step) const noexcept { return counts_[step].value(); }
    [[nodiscard]] std::uint64_t sum_us() const noexcept { return sum_us_.value(); }

 private:
    std::array<Tally, steps> counts_;
    Tally sum_us_;
};

/// Of a session, or of a session's commands to one LUN.
struct IoStatistics {
    Tally commands;
    Tally read_bytes;
    Tally written_bytes;
    Tally errors;  ///< commands that ended with another status than GOOD
    Tally r2ts;
    Tally aborts;
    LatencyHistogram latency;
};

struct SessionStatistics : IoStatistics {
    Tally rejects;
    Tally dropped_pdus;  ///< outside the window, or data nobody waits for
    Tally queue_depth;   ///< commands under way now
};

}  // namespace diskless::iscsi
