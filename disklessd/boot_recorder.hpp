// BootRecorder: makes timelines of what the services observe, tells them in the log, and hands finished ones on to be kept.
#pragma once

#include <functional>
#include <list>
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

    /// Machines remembered at a time; beyond it the one silent for longest is forgotten, one that nobody declared before any other.
    static constexpr std::size_t max_machines = 16384;

    [[nodiscard]] bool remembers(MacAddress mac) const {
        const std::lock_guard lock{mutex_};
        return machines_.contains(mac);
    }

 private:
    using Order = std::list<MacAddress>;  // the one silent for longest first
    struct Machine {
        boot::BootTimeline timeline;
        Order* order = nullptr;
        Order::iterator place;
    };
    Machine& heard_of(MacAddress mac, bool declared);
    void forget_one();

    Keep keep_;
    mutable std::mutex mutex_;
    std::unordered_map<MacAddress, Machine> machines_;
    Order declared_, strangers_;
};

}  // namespace diskless
