// Accounting: from a session's own counts to the server's counters, about once a second: the hot path adds to nothing that is shared.
#pragma once

#include <array>
#include <string>

#include "common/counters.hpp"
#include "services/iscsi/statistics.hpp"

namespace diskless::iscsi {

/// The counters of one LUN of one target, whichever sessions use it: diskless_iscsi_lun_…{target="…",lun="…"}.
class LunCounters {
 public:
    LunCounters(CounterRegistry& registry, const std::string& target, std::uint64_t lun);

 private:
    friend class LunAccount;
    Counter& commands_;
    Counter& read_bytes_;
    Counter& written_bytes_;
    Counter& errors_;
    Counter& r2ts_;
    Counter& aborts_;
    // A Prometheus histogram: every bucket holds what the smaller ones hold.
    std::array<Counter*, LatencyHistogram::steps> latency_buckets_{};
    Counter& latency_sum_us_;
    Counter& latency_count_;
};

/// What of `source` has been counted already.
class LunAccount {
 public:
    LunAccount(const IoStatistics& source, LunCounters counters) noexcept : source_{&source}, counters_{counters} {}
    /// Adds what is new. On the session's lane.
    void settle() noexcept;
    [[nodiscard]] const IoStatistics* source() const noexcept { return source_; }

 private:
    const IoStatistics* source_;
    LunCounters counters_;
    std::uint64_t commands_ = 0, read_bytes_ = 0, written_bytes_ = 0, errors_ = 0, r2ts_ = 0, aborts_ = 0, latency_sum_us_ = 0;
    std::array<std::uint64_t, LatencyHistogram::steps> latency_{};
};

/// Adds to `counter` what `now` has more than `counted`, and remembers.
inline void count_new(Counter& counter, std::uint64_t now, std::uint64_t& counted) noexcept {
    if (now != counted) counter.add(now - counted);
    counted = now;
}

}  // namespace diskless::iscsi
