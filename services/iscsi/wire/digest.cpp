#include "services/iscsi/wire/digest.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace diskless::iscsi::wire {

void Crc32c::add(ByteSpan bytes) noexcept {
    // ISA-L only reads, though its signature forgot to say so; its length is an int, ours are 24 bits.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    if (!bytes.empty()) state_ = crc32_iscsi(data, static_cast<int>(bytes.size()), state_);
}

void Crc32c::store(MutableByteSpan four) const noexcept {
    const std::uint32_t crc = value();
    for (unsigned i = 0; i < digest_bytes; ++i) four[i] = static_cast<std::byte>(crc >> (8 * i));
}

bool Crc32c::matches(ByteSpan four) const noexcept {
    std::array<std::byte, digest_bytes> expected{};
    store(expected);
    return std::ranges::equal(four.first(digest_bytes), expected);
}

}  // namespace diskless::iscsi::wire
