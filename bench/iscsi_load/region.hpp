// Region: the stretch of a disk that one session works on, and what must lie in each of its blocks. Every 8 bytes of a block tell where
// they belong and which write brought them, so a block that was lost, torn, stale or misplaced does not go unnoticed.
#pragma once

#include <cstdint>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::bench {

class Region {
 public:
    static constexpr std::size_t block_bytes = 512;

    Region(std::uint64_t first_block, std::uint64_t blocks) : first_block_{first_block}, generations_(blocks, 0), busy_(blocks, false) {}

    [[nodiscard]] std::uint64_t first_block() const noexcept { return first_block_; }
    [[nodiscard]] std::uint64_t blocks() const noexcept { return generations_.size(); }

    /// Offsets from here on are blocks of the region. A stretch is claimed while a command works on it: what overlaps is in no order.
    [[nodiscard]] bool claim(std::uint64_t offset, std::uint64_t count) noexcept;
    void release(std::uint64_t offset, std::uint64_t count) noexcept;

    /// The data of the next write of these blocks.
    void fill(std::uint64_t offset, MutableByteSpan data) noexcept;
    /// How many blocks are not what was written last. Blocks that nothing was written to are not looked at.
    [[nodiscard]] std::uint64_t wrong_blocks(std::uint64_t offset, ByteSpan data) const noexcept;

 private:
    [[nodiscard]] std::uint64_t word(std::uint64_t block, std::uint32_t generation, std::size_t index) const noexcept;

    std::uint64_t first_block_;
    std::vector<std::uint32_t> generations_;
    std::vector<bool> busy_;
};

}  // namespace diskless::bench
