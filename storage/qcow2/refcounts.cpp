#include "storage/qcow2/refcounts.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

namespace diskless::storage::qcow2 {
namespace {

constexpr std::uint64_t max_page_bytes = 4096;
constexpr std::uint64_t entries_per_sector = 512 / 8;
constexpr std::size_t table_place_at = 48;  // in the header: offset and clusters of the table

iovec piece_of(ByteSpan bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast): iovec's type
}

}  // namespace

Refcounts::Refcounts(BlockDevice& file, const Header& header, std::vector<std::uint64_t> table)
    : file_{file},
      layout_{header},
      table_offset_{header.refcount_table_offset},
      table_clusters_{header.refcount_table_clusters},
      table_{std::move(table)} {}

Refcounts::PageOf Refcounts::page_of(std::uint64_t cluster) const noexcept {
    const std::uint64_t bytes = std::min(max_page_bytes, layout_.cluster_bytes);
    const std::uint64_t counts = bytes * 8 / layout_.refcount_bits;
    const std::uint64_t in_block = cluster % layout_.counts_per_block / counts;
    return {.offset = table_[block_of(cluster)] + in_block * bytes, .first = cluster / counts * counts, .count = counts, .bytes = bytes};
}

void Refcounts::cover(std::vector<Run>& allocated, std::vector<Run>& released, Places& places) {
    // What is added here is looked at in its turn: a block may have to count itself.
    for (std::size_t i = 0; i < allocated.size(); ++i) {
        const Run run = allocated[i];
        const std::uint64_t last = block_of(run.end() - 1);
        if (last >= table_.size()) allocated.push_back(move_table(last + last / 2, released, places));
        for (std::uint64_t block = block_of(run.first); block <= last; ++block) {
            if (table_[block] != 0) continue;
            const Run place = places.append(1);
            table_[block] = place.first << layout_.cluster_bits;
            new_blocks_.insert(block);
            allocated.push_back(place);
        }
        // One block may count another one: their entries have to become true together, and only a sector is written as one.
        const bool together =
            new_blocks_.empty() || *new_blocks_.begin() / entries_per_sector == *new_blocks_.rbegin() / entries_per_sector;
        if (i + 1 == allocated.size() && !together && !table_moved_) allocated.push_back(move_table(table_.size() - 1, released, places));
    }
}

// A larger table (or one as large) elsewhere, which the header points to once it is whole.
Run Refcounts::move_table(std::uint64_t last_block, std::vector<Run>& released, Places& places) {
    released.push_back(table_run());
    const std::uint64_t per_cluster = layout_.cluster_bytes / 8;
    table_clusters_ = last_block / per_cluster + 1;
    const Run place = places.append(table_clusters_);
    table_offset_ = place.first << layout_.cluster_bits;
    table_.resize(table_clusters_ * per_cluster);
    table_moved_ = true;
    return place;
}

Task<Refcounts::Error> Refcounts::write_bytes(std::uint64_t offset, ByteSpan bytes) {
    const iovec piece = piece_of(bytes);
    co_return co_await Io{file_, IoKind::write, offset, bytes.size(), {&piece, 1}};
}

Task<Refcounts::Error> Refcounts::write_new_structure(const std::vector<Run>& allocated) {
    std::vector<std::byte> bytes(layout_.cluster_bytes);
    for (const std::uint64_t block : new_blocks_) {
        std::ranges::fill(bytes, std::byte{0});
        const Run covered{block * layout_.counts_per_block, layout_.counts_per_block};
        for (const Run& run : allocated) {
            const std::uint64_t end = std::min(run.end(), covered.end());
            for (std::uint64_t cluster = std::max(run.first, covered.first); cluster < end; ++cluster)
                store_count(bytes, cluster - covered.first, layout_.refcount_bits, 1);
        }
        if (const Error error = co_await write_bytes(table_[block], bytes)) co_return error;
    }
    if (table_moved_) {
        std::vector<std::byte> whole(table_clusters_ << layout_.cluster_bits);
        for (std::size_t i = 0; i < table_.size(); ++i) store_be(MutableByteSpan{whole}, i * 8, table_[i]);
        if (const Error error = co_await write_bytes(table_offset_, whole)) co_return error;
    }
    co_return Error{};
}

template<class Change>
Task<Refcounts::Error> Refcounts::change_all(const std::vector<Run>& runs, Change change) {
    std::map<std::uint64_t, std::vector<std::byte>> pages;  // by their place in the file
    for (const Run& run : runs) {
        for (std::uint64_t cluster = run.first; cluster < run.end();) {
            // Used, and counted nowhere: whoever wrote the tables did not write them well.
            if (block_of(cluster) >= table_.size() || table_[block_of(cluster)] == 0)
                co_return Error{EUCLEAN, boost::system::system_category()};
            const PageOf page = page_of(cluster);
            const std::uint64_t end = std::min(run.end(), page.first + page.count);
            if (new_blocks_.contains(block_of(cluster))) {
                cluster = end;
                continue;
            }
            auto [found, is_new] = pages.try_emplace(page.offset);
            if (is_new) {
                found->second.resize(page.bytes);
                const iovec piece{found->second.data(), page.bytes};
                if (const Error error = co_await Io{file_, IoKind::read, page.offset, page.bytes, {&piece, 1}}) co_return error;
            }
            for (; cluster < end; ++cluster) {
                const std::uint64_t index = cluster - page.first;
                store_count(found->second, index, layout_.refcount_bits,
                            change(cluster, load_count(found->second, index, layout_.refcount_bits)));
            }
        }
    }
    for (const auto& [offset, bytes] : pages) {
        if (const Error error = co_await write_bytes(offset, bytes)) co_return error;
    }
    co_return Error{};
}

Task<Refcounts::Error> Refcounts::count_new(const std::vector<Run>& allocated) {
    const bool new_structure = !new_blocks_.empty() || table_moved_;
    if (new_structure) {
        if (const Error error = co_await write_new_structure(allocated)) co_return error;
    }
    if (const Error error = co_await change_all(allocated, [](std::uint64_t, std::uint64_t) { return std::uint64_t{1}; })) co_return error;
    if (!new_structure) co_return Error{};
    // Blocks and table are whole and counted before anything points to them.
    if (const Error error = co_await Io{file_, IoKind::flush, 0, 0}) co_return error;
    if (table_moved_) {
        std::array<std::byte, 12> place{};
        store_be(MutableByteSpan{place}, 0, table_offset_);
        store_be(MutableByteSpan{place}, 8, static_cast<std::uint32_t>(table_clusters_));
        if (const Error error = co_await write_bytes(table_place_at, place)) co_return error;
    } else if (!new_blocks_.empty()) {
        const std::uint64_t first = *new_blocks_.begin(), count = *new_blocks_.rbegin() - first + 1;
        std::vector<std::byte> entries(count * 8);
        for (std::uint64_t i = 0; i < count; ++i) store_be(MutableByteSpan{entries}, i * 8, table_[first + i]);
        if (const Error error = co_await write_bytes(table_offset_ + first * 8, entries)) co_return error;
    }
    new_blocks_.clear();
    table_moved_ = false;
    co_return Error{};
}

Task<std::vector<Run>> Refcounts::count_down(const std::vector<Run>& released) {
    std::vector<Run> freed;
    const auto one_less = [&freed](std::uint64_t cluster, std::uint64_t count) -> std::uint64_t {
        if (count != 1) return count == 0 ? 0 : count - 1;
        if (!freed.empty() && freed.back().end() == cluster) {
            ++freed.back().count;
        } else {
            freed.push_back({cluster, 1});
        }
        return 0;
    };
    // What could not be counted is not free: it leaks, which harms nobody.
    if (co_await change_all(released, one_less)) freed.clear();
    co_return freed;
}

Task<Refcounts::Error> Refcounts::set(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& counts) {
    std::vector<Run> runs;
    std::map<std::uint64_t, std::uint64_t> wanted;
    for (const auto& [cluster, count] : counts) {
        runs.push_back({cluster, 1});
        wanted[cluster] = count;
    }
    co_return co_await change_all(runs, [&wanted](std::uint64_t cluster, std::uint64_t) { return wanted.at(cluster); });
}

}  // namespace diskless::storage::qcow2
