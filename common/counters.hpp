// The counter registry: every service asks once for its counters at start and then only adds. The whole set is what /metrics prints.
// Owned by disklessd, passed to services by reference; counters live as long as the registry.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace diskless {

/// A count that only grows, or (gauge) a level that goes up and down. Safe from any thread; relaxed, for counting only.
class Counter {
 public:
    void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    void sub(std::uint64_t n = 1) noexcept { value_.fetch_sub(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
    std::atomic<std::uint64_t> value_{0};
};

class CounterRegistry {
 public:
    struct Sample {
        std::string name;  ///< Prometheus form, labels included: `diskless_dhcp_messages_total{type="discover"}`
        std::uint64_t value;
    };

    /// The counter of that name; the same one every time. `labels` as they appear between the braces, or empty.
    Counter& counter(std::string_view name, std::string_view labels = {});
    [[nodiscard]] std::vector<Sample> samples() const;

 private:
    mutable std::mutex mutex_;
    std::map<std::string, Counter> counters_;  // a map: addresses stay
};

}  // namespace diskless
