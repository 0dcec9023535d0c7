// BootSet: what machines read of a version while they boot, and its file:
//
//    0  "DLBOOTST"
//    8  u32 format (1), u32 CRC-32 of everything from byte 16 on
//   16  u32 bytes of a piece, u32 files; then for each file, the version's own first, then what it stands on:
//       u64 its size, u32 runs; for each run, in order and apart from each other: u32 first piece, u32 pieces
//
// All numbers are big-endian. It is a hint: one that is damaged or fits no more is thrown away.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::storage {

inline constexpr std::uint64_t piece_bytes = std::uint64_t{64} << 10;

[[nodiscard]] constexpr std::uint64_t pieces_of(std::uint64_t size_bytes) noexcept {
    return size_bytes / piece_bytes + (size_bytes % piece_bytes != 0 ? 1 : 0);
}

struct PieceRun {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    [[nodiscard]] std::uint64_t end() const noexcept { return std::uint64_t{first} + count; }
    friend bool operator==(const PieceRun&, const PieceRun&) = default;
};

struct BootSet {
    static constexpr std::size_t max_runs = 16 << 10;  ///< of all files together
    static constexpr std::size_t max_files = 64;
    static constexpr std::size_t max_encoded_bytes = 24 + max_files * 12 + max_runs * 8;

    struct File {
        std::uint64_t size_bytes = 0;
        std::vector<PieceRun> runs;
        friend bool operator==(const File&, const File&) = default;
    };
    std::vector<File> files;

    [[nodiscard]] std::size_t run_count() const noexcept;
    [[nodiscard]] std::uint64_t bytes() const noexcept;
    /// The same files, by their number and sizes.
    [[nodiscard]] bool fits(const BootSet& other) const noexcept;
    friend bool operator==(const BootSet&, const BootSet&) = default;
};

/// What is in either; they fit each other.
[[nodiscard]] BootSet united(const BootSet& one, const BootSet& other);
/// At most max_runs runs: the smallest gaps are filled.
[[nodiscard]] BootSet bounded(BootSet set);

/// `set` is bounded.
[[nodiscard]] std::vector<std::byte> encode(const BootSet& set);
/// The error says what is wrong with it.
[[nodiscard]] std::expected<BootSet, std::string> decode_boot_set(ByteSpan bytes);

}  // namespace diskless::storage
