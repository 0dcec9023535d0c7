#include "storage/qcow2/space.hpp"

#include <algorithm>
#include <iterator>

namespace diskless::storage::qcow2 {
namespace {

void append_run(std::vector<Run>& runs, Run run) {
    if (!runs.empty() && runs.back().end() == run.first) {
        runs.back().count += run.count;
    } else {
        runs.push_back(run);
    }
}

}  // namespace

void Space::add_free(Run run) {
    auto after = free_.lower_bound(run.first);
    if (after != free_.begin()) {
        const auto before = std::prev(after);
        if (before->first + before->second == run.first) {
            run = {before->first, before->second + run.count};
            free_.erase(before);
        }
    }
    if (after != free_.end() && after->first == run.end()) {
        run.count += after->second;
        free_.erase(after);
    }
    free_.emplace(run.first, run.count);
}

Run Space::allocate(std::uint64_t wanted) {
    if (free_.empty()) return append(wanted);
    const auto first = free_.begin();
    const Run whole{first->first, first->second};
    const Run taken{whole.first, std::min(wanted, whole.count)};
    free_.erase(first);
    if (taken.count < whole.count) free_.emplace(taken.end(), whole.count - taken.count);
    append_run(allocated_, taken);
    return taken;
}

Run Space::append_uncounted(std::uint64_t count) noexcept {
    const Run taken{end_, count};
    end_ += count;
    return taken;
}

Run Space::append(std::uint64_t count) {
    const Run taken = append_uncounted(count);
    append_run(allocated_, taken);
    return taken;
}

void Space::adopt(Run run) {
    end_ = std::max(end_, run.end());
    append_run(allocated_, run);
}

void Space::release(Run run) { append_run(released_, run); }

void Space::put_back(std::vector<Run> allocated, std::vector<Run> released) {
    allocated.insert(allocated.end(), allocated_.begin(), allocated_.end());
    released.insert(released.end(), released_.begin(), released_.end());
    allocated_ = std::move(allocated);
    released_ = std::move(released);
}

std::uint64_t Space::released_clusters() const noexcept {
    std::uint64_t count = 0;
    for (const Run& run : released_) count += run.count;
    return count;
}

std::uint64_t Space::free_clusters() const noexcept {
    std::uint64_t count = 0;
    for (const auto& [first, clusters] : free_) count += clusters;
    return count;
}

}  // namespace diskless::storage::qcow2
