// OfferWatch: machines that ask, are answered, and ask again as if they had heard nothing. Bounded like Reminders. Pure: time comes in.
#pragma once

#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "common/network.hpp"

namespace diskless::dhcp {

class OfferWatch {
 public:
    using Time = std::chrono::steady_clock::time_point;
    /// DISCOVERs of one attempt (one xid) after which it is clear. Firmware sends them at 0, 4, 12 and 28 s (PXE 2.1 2.2.1).
    static constexpr unsigned patience = 4;
    static constexpr std::chrono::minutes memory{2};
    static constexpr std::size_t max_machines = 4096;

    enum class Verdict : std::uint8_t {
        first,    ///< a new attempt
        again,    ///< the same one, asked again
        ignored,  ///< the same one for the `patience`th time; told once
    };
    [[nodiscard]] Verdict offered(const MacAddress& mac, std::uint32_t xid, Time now) {
        turn(now);
        Attempt attempt{.xid = xid};
        for (const Machines* machines : {&newer_, &older_}) {
            const auto found = machines->find(mac);
            if (found == machines->end() || found->second.xid != xid) continue;
            attempt = found->second;
            break;
        }
        ++attempt.discovers;
        if (newer_.size() < max_machines || newer_.contains(mac)) newer_.insert_or_assign(mac, attempt);
        if (attempt.discovers == 1) return Verdict::first;
        return attempt.discovers == patience ? Verdict::ignored : Verdict::again;
    }
    /// It has chosen, us or somebody else.
    void taken(const MacAddress& mac) {
        newer_.erase(mac);
        older_.erase(mac);
    }

 private:
    struct Attempt {
        std::uint32_t xid = 0;
        unsigned discovers = 0;
    };
    using Machines = std::unordered_map<MacAddress, Attempt>;

    // Two generations: forgetting is one swap, never a walk.
    void turn(Time now) {
        if (now - turned_ < memory) return;
        std::swap(older_, newer_);
        newer_.clear();
        turned_ = now;
    }

    Machines newer_;
    Machines older_;
    Time turned_{};
};

}  // namespace diskless::dhcp
