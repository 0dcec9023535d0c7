#include "bench/iscsi_load/region.hpp"

#include <algorithm>
#include <cstring>

namespace diskless::bench {

bool Region::claim(std::uint64_t offset, std::uint64_t count) noexcept {
    const auto first = busy_.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto last = first + static_cast<std::ptrdiff_t>(count);
    if (std::find(first, last, true) != last) return false;
    std::fill(first, last, true);
    return true;
}

void Region::release(std::uint64_t offset, std::uint64_t count) noexcept {
    std::fill_n(busy_.begin() + static_cast<std::ptrdiff_t>(offset), count, false);
}

std::uint64_t Region::word(std::uint64_t block, std::uint32_t generation, std::size_t index) const noexcept {
    std::uint64_t x = (first_block_ + block) * 0x9e3779b97f4a7c15ULL + (std::uint64_t{generation} << 32 | index);
    x ^= x >> 29;
    return x * 0xbf58476d1ce4e5b9ULL;
}

void Region::fill(std::uint64_t offset, MutableByteSpan data) noexcept {
    for (std::uint64_t block = offset; !data.empty(); ++block, data = data.subspan(block_bytes)) {
        const std::uint32_t generation = ++generations_[block];
        for (std::size_t i = 0; i < block_bytes / 8; ++i) {
            const std::uint64_t value = word(block, generation, i);
            std::memcpy(data.data() + i * 8, &value, 8);
        }
    }
}

std::uint64_t Region::wrong_blocks(std::uint64_t offset, ByteSpan data) const noexcept {
    std::uint64_t wrong = 0;
    for (std::uint64_t block = offset; !data.empty(); ++block, data = data.subspan(block_bytes)) {
        const std::uint32_t generation = generations_[block];
        if (generation == 0) continue;
        for (std::size_t i = 0; i < block_bytes / 8; ++i) {
            const std::uint64_t expected = word(block, generation, i);
            if (std::memcmp(data.data() + i * 8, &expected, 8) == 0) continue;
            ++wrong;
            break;
        }
    }
    return wrong;
}

}  // namespace diskless::bench
