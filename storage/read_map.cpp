#include "storage/read_map.hpp"

#include <algorithm>

namespace diskless::storage {

void ReadMap::note(std::uint64_t offset_bytes, std::uint64_t length_bytes) noexcept {
    if (!recording_.load(std::memory_order_acquire) || length_bytes == 0 || offset_bytes >= size_bytes_) return;
    const std::uint64_t last = (offset_bytes + std::min(length_bytes, size_bytes_ - offset_bytes) - 1) / piece_bytes;
    for (std::uint64_t piece = offset_bytes / piece_bytes; piece <= last; ++piece) {
        std::atomic<std::uint64_t>& word = words_[piece / word_bits];
        const std::uint64_t bit = std::uint64_t{1} << piece % word_bits;
        // Machines that boot the same way read the same pieces: mostly it is there already.
        if ((word.load(std::memory_order_relaxed) & bit) != 0) continue;
        if (noted_.load(std::memory_order_relaxed) >= max_pieces) return;
        if ((word.fetch_or(bit, std::memory_order_relaxed) & bit) == 0) noted_.fetch_add(1, std::memory_order_relaxed);
    }
}

void ReadMap::begin() {
    if (recordings_++ != 0) return;
    if (!words_) words_ = std::make_unique<std::atomic<std::uint64_t>[]>(words());
    for (std::uint64_t i = 0; i < words(); ++i) words_[i].store(0, std::memory_order_relaxed);
    noted_.store(0, std::memory_order_relaxed);
    recording_.store(true, std::memory_order_release);
}

std::vector<PieceRun> ReadMap::runs() const {
    std::vector<PieceRun> runs;
    if (!words_) return runs;
    for (std::uint64_t i = 0; i < words(); ++i) {
        const std::uint64_t word = words_[i].load(std::memory_order_relaxed);
        for (std::uint64_t bit = 0; word != 0 && bit < word_bits; ++bit) {
            if ((word >> bit & 1) == 0) continue;
            const auto piece = static_cast<std::uint32_t>(i * word_bits + bit);
            if (!runs.empty() && runs.back().end() == piece) {
                ++runs.back().count;
            } else {
                runs.push_back({piece, 1});
            }
        }
    }
    return runs;
}

void ReadMap::end() noexcept {
    if (--recordings_ == 0) recording_.store(false, std::memory_order_relaxed);
}

}  // namespace diskless::storage
