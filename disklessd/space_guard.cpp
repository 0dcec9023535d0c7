#include "disklessd/space_guard.hpp"

#include <algorithm>
#include <array>

namespace diskless {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

struct Limit {
    SpaceLevel level;
    unsigned percent;
    std::uint64_t at_most_bytes;
};
constexpr std::array limits = {Limit{SpaceLevel::all_gone, 1, gib}, Limit{SpaceLevel::scarce, 5, 10 * gib},
                               Limit{SpaceLevel::low, 10, 20 * gib}};

}  // namespace

SpaceLevel next_level(SpaceLevel now, const Space& space) noexcept {
    for (const Limit& limit : limits) {
        const std::uint64_t below = std::min(space.total_bytes / 100 * limit.percent, limit.at_most_bytes);
        const bool holds_on = now >= limit.level;
        if (space.free_bytes < below + (holds_on ? below / 4 : 0)) return limit.level;
    }
    return SpaceLevel::enough;
}

}  // namespace diskless
