#include "disklessd/boot_recorder.hpp"

#include <utility>

#include "common/log.hpp"

namespace diskless {

BootRecorder::BootRecorder(Keep keep) : keep_{std::move(keep)} {}

void BootRecorder::observe(boot::Event event) {
    boot::BootTimeline finished;
    {
        const std::lock_guard lock{mutex_};
        boot::BootTimeline& timeline = heard_of(event.mac, !event.client.empty()).timeline;
        const auto change = timeline.observe(event);
        if (change == boot::BootTimeline::Change::none) return;
        const std::string_view name = event.client.empty() ? "-" : std::string_view{event.client};
        if (change == boot::BootTimeline::Change::started) log::info("boot.started", "client={} mac={}", name, event.mac);
        const auto ms = timeline.duration().count();
        log::info("boot.step", "client={} mac={} step={} at={}.{:03}s detail=\"{}\"", name, event.mac, boot::name_of(event.step), ms / 1000,
                  ms % 1000, event.detail);
        if (change == boot::BootTimeline::Change::refused)
            log::warn("boot.loader_refused",
                      "client={} mac={} because=\"its firmware fetched the loader to the end, did not start it, and asks again: Secure "
                      "Boot refuses "
                      "unsigned loaders without a word\" remedy=\"write loader = 'shimx64.efi' and boot = 'kernel' for it, or switch "
                      "Secure Boot off\"",
                      name, event.mac);
        if (change != boot::BootTimeline::Change::finished) return;
        log::info("boot.done", "client={} mac={} seconds={}.{:03} timeline=\"{}\"", name, event.mac, ms / 1000, ms % 1000,
                  timeline.summary());
        finished = timeline;
    }
    keep_(event.mac, finished);
}

/// Moves it to the end of its order, which may have become another one.
BootRecorder::Machine& BootRecorder::heard_of(MacAddress mac, bool declared) {
    Order& order = declared ? declared_ : strangers_;
    if (const auto found = machines_.find(mac); found != machines_.end()) {
        Machine& machine = found->second;
        order.splice(order.end(), *machine.order, machine.place);
        machine.order = &order;
        return machine;
    }
    if (machines_.size() >= max_machines) forget_one();
    Machine& machine = machines_[mac];
    machine.order = &order;
    machine.place = order.insert(order.end(), mac);
    return machine;
}

void BootRecorder::forget_one() {
    Order& order = strangers_.empty() ? declared_ : strangers_;
    machines_.erase(order.front());
    order.pop_front();
}

}  // namespace diskless
