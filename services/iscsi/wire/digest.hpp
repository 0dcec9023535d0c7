// Header and data digests: CRC32C (RFC 7143 13.1, vectors in appendix A.4), computed by ISA-L with whatever the CPU offers.
#pragma once

#include <array>
#include <cstdint>

#include "common/bytes.hpp"

namespace diskless::iscsi::wire {

inline constexpr std::size_t digest_bytes = 4;

/// CRC32C over bytes that come in pieces.
class Crc32c {
 public:
    void add(ByteSpan bytes) noexcept;
    [[nodiscard]] std::uint32_t value() const noexcept { return ~state_; }
    /// As it travels: least significant byte first.
    void store(MutableByteSpan four) const noexcept;
    [[nodiscard]] bool matches(ByteSpan four) const noexcept;

 private:
    std::uint32_t state_ = 0xffffffff;
};

}  // namespace diskless::iscsi::wire
