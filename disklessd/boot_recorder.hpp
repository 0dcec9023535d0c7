// BootRecorder: makes timelines of what the services observe, tells them in the log, and hands finished ones on to be kept.
#pragma once

#include <functional>
#include <mutex>
#include <unordered_map>

#include "boot/timeline.hpp"

namespace diskless {

class BootRecorder final : public boot::BootObserver {
 public:
    using Keep = std::function<void(MacAddress, const boot::BootTimeline&)>;
    /// `keep` is called for every boot that reached its running system. From any thread.
    explicit BootRecorder(Keep keep);

    void observe(boot::Event event) override;

    /// Machines remembered at a time; beyond it the one silent for longest is forgotten.
    static constexpr std::size_t max_machines = 16384;

 private:
    void forget_one();

    Keep keep_;
    std::mutex mutex_;
    std::unordered_map<MacAddress, boot::BootTimeline> timelines_;
};

}  // namespace diskless
