// Refcounts: the refcount table in memory, and how counts change in the file. Counts are kept exact at every checkpoint; blocks are read
// and written where they lie, a page at a time. Used by one coroutine at a time.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "storage/coroutine.hpp"
#include "storage/qcow2/format.hpp"
#include "storage/qcow2/space.hpp"

namespace diskless::storage::qcow2 {

class Refcounts {
 public:
    using Error = boost::system::error_code;
    /// `table` in host order, as long as its clusters. The device outlives this.
    Refcounts(BlockDevice& file, const Header& header, std::vector<std::uint64_t> table);

    /// Where new refcount blocks and a larger table go: clusters that nobody else gets.
    struct Places {
        virtual ~Places() = default;
        [[nodiscard]] virtual Run append(std::uint64_t count) = 0;
    };
    /// Makes sure that there are blocks for all of `allocated`, to which it adds what those take. `released` gets a table that was
    /// outgrown.
    void cover(std::vector<Run>& allocated, std::vector<Run>& released, Places& places);
    /// New blocks, durable before anything points to them. Then the counts of `allocated` become 1, and new blocks and the table get known:
    /// durable after the caller's next flush.
    Task<Error> count_new(const std::vector<Run>& allocated);
    /// One less for each; what has reached 0 is returned. Not durable by itself.
    Task<std::vector<Run>> count_down(const std::vector<Run>& released);

    /// Sets single counts, for repairs; the blocks have to exist.
    Task<Error> set(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& counts);

    [[nodiscard]] const std::vector<std::uint64_t>& table() const noexcept { return table_; }
    /// The table's own place.
    [[nodiscard]] Run table_run() const noexcept { return {table_offset_ >> layout_.cluster_bits, table_clusters_}; }

 private:
    struct PageOf {
        std::uint64_t offset = 0;  ///< in the file
        std::uint64_t first = 0;   ///< the cluster it begins with
        std::uint64_t count = 0;
        std::uint64_t bytes = 0;
    };
    /// The page with this cluster's count.
    [[nodiscard]] PageOf page_of(std::uint64_t cluster) const noexcept;
    [[nodiscard]] std::uint64_t block_of(std::uint64_t cluster) const noexcept { return cluster / layout_.counts_per_block; }

    [[nodiscard]] Run move_table(std::uint64_t last_block, std::vector<Run>& released, Places& places);
    Task<Error> write_new_structure(const std::vector<Run>& allocated);
    Task<Error> write_bytes(std::uint64_t offset, ByteSpan bytes);
    /// Changes every count of `runs` by `change(count)`, page by page.
    template<class Change>
    Task<Error> change_all(const std::vector<Run>& runs, Change change);

    BlockDevice& file_;
    Layout layout_;
    std::uint64_t table_offset_;
    std::uint64_t table_clusters_;
    std::vector<std::uint64_t> table_;
    // In memory, and not yet in the file.
    std::set<std::uint64_t> new_blocks_;
    bool table_moved_ = false;
};

}  // namespace diskless::storage::qcow2
