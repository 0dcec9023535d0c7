// References: who points to which cluster of an image's file, counted by walking all of its tables. For images that were not closed.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/block_device.hpp"
#include "storage/qcow2/format.hpp"
#include "storage/qcow2/space.hpp"

namespace diskless::storage::qcow2 {

class References {
 public:
    /// Walks the header, the refcount structure, the active tables and those of snapshots. Blocks. The error: what cannot be read or is
    /// wrong.
    [[nodiscard]] static std::expected<References, std::string> walk(BlockDevice& file, const Header& header,
                                                                     std::span<const std::uint64_t> l1,
                                                                     std::span<const std::uint64_t> refcount_table,
                                                                     std::uint64_t file_bytes);

    enum class Use : std::uint8_t {
        shared,  ///< others may point there as well: writes go elsewhere
        of_one,  ///< written where it is
    };
    void add(Run run, Use use = Use::shared);
    [[nodiscard]] std::uint64_t to(std::uint64_t cluster) const noexcept;
    /// One past the last cluster that anybody points to.
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }

 private:
    static constexpr std::uint64_t chunk_clusters = 4096;
    static constexpr std::uint32_t of_one = std::uint32_t{1} << 31;  // above the count
    [[nodiscard]] std::optional<std::uint64_t> overlap() const noexcept;
    std::map<std::uint64_t, std::vector<std::uint32_t>> chunks_;
    std::uint64_t end_ = 0;
};

/// Snapshots of the image itself: where their first-level tables are.
struct InnerSnapshot {
    std::string id, name;
    std::uint64_t l1_offset = 0;
    std::uint32_t l1_entries = 0;
    std::uint64_t bytes = 0;  ///< of its record in the file
};
[[nodiscard]] std::expected<std::vector<InnerSnapshot>, std::string> read_snapshots(BlockDevice& file, const Header& header,
                                                                                    std::uint64_t file_bytes);

/// 64-bit big-endian words from the file, in host order.
[[nodiscard]] std::expected<std::vector<std::uint64_t>, std::string> read_words(BlockDevice& file, std::uint64_t offset,
                                                                                std::uint64_t count);

}  // namespace diskless::storage::qcow2
