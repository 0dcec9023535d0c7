#include "common/counters.hpp"

#include <fmt/format.h>

namespace diskless {

Counter& CounterRegistry::counter(std::string_view name, std::string_view labels) {
    std::string full = labels.empty() ? std::string{name} : fmt::format("{}{{{}}}", name, labels);
    const std::lock_guard lock{mutex_};
    return counters_[std::move(full)];
}

std::vector<CounterRegistry::Sample> CounterRegistry::samples() const {
    const std::lock_guard lock{mutex_};
    std::vector<Sample> out;
    out.reserve(counters_.size());
    for (const auto& [name, counter] : counters_) out.push_back({name, counter.value()});
    return out;
}

}  // namespace diskless
