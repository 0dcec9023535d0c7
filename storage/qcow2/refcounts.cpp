#include "storage/qcow2/refcounts.hpp"

#include <algorithm>
#include <array>
#include <iterator>

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
        if (last >= table_.size()) {
            const std::uint64_t per_cluster = layout_.cluster_bytes / 8;
            released.push_back(table_run());
            const std::uint64_t clusters = (last + last / 2) / per_cluster + 1;
            const Run place = places.append(clusters);
            table_offset_ = place.first << layout_.cluster_bits;
            table_clusters_ = clusters;
            table_.resize(clusters * per_cluster);
            table_moved_ = true;
            allocated.push_back(place);
        }
        for (std::uint64_t block = block_of(run.first); block <= last; ++block) {
            if (table_[block] != 0) continue;
            const Run place = places.append(1);
            table_[block] = place.first << layout_.cluster_bits;
            new_blocks_.insert(block);
            allocated.push_back(place);
        }
    }
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

// What counts a new block or a new table has to be known before the block or the table is. New blocks lie behind everything that they were
// needed for, so the one for the highest clusters counts itself, and the others lie in it or in front of it: their entries go into the
// table from the last to the first.
Task<Refcounts::Error> Refcounts::count_new(const std::vector<Run>& allocated) {
    const bool structure_grows = !new_blocks_.empty() || table_moved_;
    if (structure_grows) {
        if (const Error error = co_await write_new_structure(allocated)) co_return error;
    }
    if (const Error error = co_await change_all(allocated, [](std::uint64_t, std::uint64_t) { return std::uint64_t{1}; })) co_return error;
    if (!structure_grows) co_return Error{};
    if (const Error error = co_await Io{file_, IoKind::flush, 0, 0}) co_return error;
    if (table_moved_) {
        std::array<std::byte, 12> place{};
        store_be(MutableByteSpan{place}, 0, table_offset_);
        store_be(MutableByteSpan{place}, 8, static_cast<std::uint32_t>(table_clusters_));
        if (const Error error = co_await write_bytes(table_place_at, place)) co_return error;
    } else if (const Error error = co_await write_table_entries()) {
        co_return error;
    }
    new_blocks_.clear();
    table_moved_ = false;
    co_return Error{};
}

// A sector of the table is written as one; what is in another one is durable before.
Task<Refcounts::Error> Refcounts::write_table_entries() {
    for (auto last = new_blocks_.rbegin(); last != new_blocks_.rend();) {
        auto first = last;
        while (std::next(first) != new_blocks_.rend() && *std::next(first) / entries_per_sector == *last / entries_per_sector) ++first;
        if (last != new_blocks_.rbegin()) {
            if (const Error error = co_await Io{file_, IoKind::flush, 0, 0}) co_return error;
        }
        std::vector<std::byte> entries((*last - *first + 1) * 8);
        for (std::uint64_t block = *first; block <= *last; ++block) store_be(MutableByteSpan{entries}, (block - *first) * 8, table_[block]);
        if (const Error error = co_await write_bytes(table_offset_ + *first * 8, entries)) co_return error;
        last = std::next(first);
    }
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
