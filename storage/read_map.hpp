// ReadMap: which pieces of a file were read while somebody wanted to know. Noting is for any thread and has no lock; not recording costs
// one look at a flag.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/boot_set.hpp"

namespace diskless::storage {

class ReadMap {
 public:
    /// What one recording keeps at most: 2 GiB. What is read first counts.
    static constexpr std::uint64_t max_pieces = (std::uint64_t{2} << 30) / piece_bytes;

    explicit ReadMap(std::uint64_t size_bytes) noexcept : size_bytes_{size_bytes} {}

    [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
    void note(std::uint64_t offset_bytes, std::uint64_t length_bytes) noexcept;

    // One thread at a time:

    /// Recordings may overlap; the map is emptied when there was none.
    void begin();
    /// What was read since the map was empty, in order.
    [[nodiscard]] std::vector<PieceRun> runs() const;
    void end() noexcept;

 private:
    static constexpr std::uint64_t word_bits = 64;
    [[nodiscard]] std::uint64_t pieces() const noexcept { return pieces_of(size_bytes_); }
    [[nodiscard]] std::uint64_t words() const noexcept { return (pieces() + word_bits - 1) / word_bits; }

    const std::uint64_t size_bytes_;
    unsigned recordings_ = 0;
    std::atomic<bool> recording_{false};
    std::atomic<std::uint64_t> noted_{0};
    std::unique_ptr<std::atomic<std::uint64_t>[]> words_;  ///< made by the first begin(), then stays: somebody may still be noting
};

}  // namespace diskless::storage
