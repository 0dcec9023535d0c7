// Short words for reading and writing BHS fields; used by requests.cpp and responses.cpp only.
#pragma once

#include "services/iscsi/wire/bhs.hpp"

namespace diskless::iscsi::wire {

[[nodiscard]] inline std::uint32_t u32_at(ByteSpan bhs, std::size_t at) noexcept { return load_be<std::uint32_t>(bhs, at); }
[[nodiscard]] inline std::uint64_t u64_at(ByteSpan bhs, std::size_t at) noexcept { return load_be<std::uint64_t>(bhs, at); }
inline void put_u8(Bhs& bhs, std::size_t at, unsigned value) noexcept { bhs[at] = static_cast<std::byte>(value); }
[[nodiscard]] constexpr unsigned bit(bool on, unsigned mask) noexcept { return on ? mask : 0; }
[[nodiscard]] constexpr unsigned stage_bits(Stage current, Stage next) noexcept {
    return static_cast<unsigned>(current) << 2 | static_cast<unsigned>(next);
}

/// Everything zero but the opcode.
inline void begin(Bhs& bhs, Opcode opcode, bool immediate) noexcept {
    bhs.fill(std::byte{0});
    put_u8(bhs, 0, bit(immediate, 0x40) | static_cast<unsigned>(opcode));
}

}  // namespace diskless::iscsi::wire
