#include "common/counters.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace diskless {

Counter& CounterRegistry::counter(std::string_view name, std::string_view labels) {
    const std::string full = labels.empty() ? std::string{name} : fmt::format("{}{{{}}}", name, labels);
    const std::lock_guard lock{mutex_};
    if (const auto found = std::ranges::find(entries_, full, &Entry::name); found != entries_.end()) return found->counter;
    Entry& entry = entries_.emplace_back();
    entry.name = full;
    return entry.counter;
}

std::vector<CounterRegistry::Sample> CounterRegistry::samples() const {
    const std::lock_guard lock{mutex_};
    std::vector<Sample> out;
    out.reserve(entries_.size());
    for (const Entry& entry : entries_) out.push_back({entry.name, entry.counter.value()});
    std::ranges::sort(out, {}, &Sample::name);
    return out;
}

}  // namespace diskless
