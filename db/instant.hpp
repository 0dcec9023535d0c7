// Instants as the tables keep them: milliseconds since 1970, UTC.
#pragma once

#include <chrono>
#include <cstdint>

namespace diskless::db {

using Instant = std::chrono::sys_time<std::chrono::milliseconds>;

[[nodiscard]] constexpr Instant instant_of(std::int64_t since_1970_ms) noexcept {
    return Instant{std::chrono::milliseconds{since_1970_ms}};
}
[[nodiscard]] constexpr std::int64_t milliseconds_of(Instant instant) noexcept { return instant.time_since_epoch().count(); }

}  // namespace diskless::db
