// BootTimeline: everything the server saw of one boot of one machine, in order. Pure: events in, steps with their distance from the start
// out.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "boot/event.hpp"

namespace diskless::boot {

class BootTimeline {
 public:
    struct Entry {
        Step step;
        std::chrono::milliseconds after_start;
        std::string detail;
    };
    /// A machine that resets for ever must not fill the memory.
    static constexpr std::size_t max_entries = 64;
    /// Silence after which the next sign of life is taken for a new boot.
    static constexpr std::chrono::minutes boot_silence{5};

    enum class Change {
        none,      ///< nothing new about this boot
        started,   ///< the event began a new boot; what was recorded before is gone
        step,      ///< one more step
        refused,   ///< one more step, and firmware shows by it that it has not started the loader it had fetched
        finished,  ///< the system wrote to its disk for the first time: it is up
    };
    Change observe(const Event& event);

    [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
    [[nodiscard]] std::chrono::system_clock::time_point started() const noexcept { return started_; }
    [[nodiscard]] const std::string& client() const noexcept { return client_; }
    [[nodiscard]] bool finished() const noexcept { return finished_; }
    [[nodiscard]] std::chrono::milliseconds duration() const noexcept {
        return entries_.empty() ? std::chrono::milliseconds{} : entries_.back().after_start;
    }
    /// "dhcp 0.0 s, loader 0.2 s, script 3.1 s, …"
    [[nodiscard]] std::string summary() const;

 private:
    [[nodiscard]] bool begins_boot(const Event& event) const noexcept;

    std::vector<Entry> entries_;
    std::chrono::system_clock::time_point started_;
    std::chrono::system_clock::time_point last_;
    std::string client_;
    bool finished_ = false;
    bool refused_ = false;  ///< said once a boot
};

}  // namespace diskless::boot
