// When space is how short.
#include "disklessd/space_guard.hpp"

#include <doctest/doctest.h>

using namespace diskless;

TEST_CASE("levels of space: a share of a small file system, a size on a large one, and a little more to leave them") {
    constexpr std::uint64_t mib = 1 << 20, gib = std::uint64_t{1} << 30;
    using enum SpaceLevel;
    const auto level = [](SpaceLevel now, std::uint64_t total, std::uint64_t free) { return next_level(now, {total, free}); };
    CHECK(level(enough, 100 * mib, 11 * mib) == enough);
    CHECK(level(enough, 100 * mib, 9 * mib) == low);
    CHECK(level(enough, 100 * mib, 4 * mib) == scarce);
    CHECK(level(enough, 100 * mib, mib / 2) == all_gone);
    CHECK(level(enough, 1000 * gib, 21 * gib) == enough);
    CHECK(level(enough, 1000 * gib, 19 * gib) == low);
    CHECK(level(enough, 1000 * gib, 9 * gib) == scarce);
    CHECK(level(enough, 1000 * gib, gib - 1) == all_gone);
    // Not back and forth for every block.
    CHECK(level(all_gone, 1000 * gib, gib + mib) == all_gone);
    CHECK(level(all_gone, 1000 * gib, gib + gib / 2) == scarce);
    CHECK(level(low, 1000 * gib, 24 * gib) == low);
    CHECK(level(low, 1000 * gib, 26 * gib) == enough);
}
