// SpaceGuard: what a file system that runs full means for disks. Pure: whoever measures calls it.
#pragma once

#include <cstdint>

namespace diskless {

/// How short space is. Each level includes those before it.
enum class SpaceLevel : std::uint8_t {
    enough,
    low,      ///< initiators are told (SBC-3 4.7.3.7, soft threshold)
    scarce,   ///< no new disks, no snapshots
    all_gone  ///< no writes that need new space; what is acknowledged still finds its place
};

struct Space {
    std::uint64_t total_bytes = 0;
    std::uint64_t free_bytes = 0;
};

/// A level is reached below its share of the file system, or below its size on large ones, whichever is less; and left when there is a
/// quarter more than that.
[[nodiscard]] SpaceLevel next_level(SpaceLevel now, const Space& space) noexcept;

}  // namespace diskless
