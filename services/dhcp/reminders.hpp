// Reminders: who was spoken of in the log lately, so that one machine fills one line a minute, not the disk. Bounded, and cheap under a
// flood of machines. Pure: time comes in.
#pragma once

#include <chrono>
#include <unordered_map>
#include <utility>

#include "common/network.hpp"

namespace diskless::dhcp {

class Reminders {
 public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::minutes interval{1};
    /// Machines remembered per interval; further ones are not spoken of until it is over.
    static constexpr std::size_t max_machines = 4096;

    /// Whether this machine is due again; if so it is remembered as spoken of now.
    [[nodiscard]] bool due(const MacAddress& mac, Time now) {
        // Two generations: forgetting is one swap an interval, never a walk.
        if (now - turned_ >= interval) {
            std::swap(older_, newer_);
            newer_.clear();
            turned_ = now;
        }
        if (recent(newer_, mac, now) || recent(older_, mac, now) || newer_.size() >= max_machines) return false;
        newer_.insert_or_assign(mac, now);
        return true;
    }

 private:
    using Machines = std::unordered_map<MacAddress, Time>;
    static bool recent(const Machines& machines, const MacAddress& mac, Time now) {
        const auto found = machines.find(mac);
        return found != machines.end() && now - found->second < interval;
    }

    Machines newer_;
    Machines older_;
    Time turned_{};
};

}  // namespace diskless::dhcp
