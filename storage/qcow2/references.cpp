#include "storage/qcow2/references.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "storage/blocking.hpp"

namespace diskless::storage::qcow2 {
namespace {

constexpr std::uint64_t snapshot_fixed_bytes = 40;
constexpr std::uint64_t max_snapshots = 65536;

class Walk {
 public:
    Walk(BlockDevice& file, const Header& header, std::uint64_t file_bytes, References& references)
        : file_{file}, layout_{header}, file_bytes_{file_bytes}, references_{references} {}

    [[nodiscard]] Run clusters(std::uint64_t offset, std::uint64_t bytes) const noexcept {
        const std::uint64_t first = offset >> layout_.cluster_bits;
        return {first, ((offset + bytes - 1) >> layout_.cluster_bits) - first + 1};
    }

    /// `active`: those that the guest's writes go by. What they mark as their own is written where it is.
    std::expected<void, std::string> tables(std::span<const std::uint64_t> l1, bool active) {
        std::set<std::uint64_t> seen;
        for (const std::uint64_t entry : l1) {
            const std::uint64_t host = entry & Entry::offset_mask;
            if (host == 0) continue;
            if (host % layout_.cluster_bytes != 0 || host >= file_bytes_) return std::unexpected{"a second-level table is misplaced"};
            if (!seen.insert(host).second) return std::unexpected{"two first-level entries share a table"};
            references_.add(clusters(host, layout_.cluster_bytes), active ? use_of(entry) : References::Use::shared);
            if (auto done = entries(host, active); !done) return done;
        }
        return {};
    }

 private:
    static References::Use use_of(std::uint64_t word) noexcept {
        return (word & Entry::copied) != 0 ? References::Use::of_one : References::Use::shared;
    }

    std::expected<void, std::string> entries(std::uint64_t table, bool active) {
        const auto words = read_words(file_, table, layout_.cluster_bytes / 8);
        if (!words) return std::unexpected{words.error()};
        for (std::size_t i = 0; i < words->size(); i += layout_.entry_words) {
            const Entry entry{.word = (*words)[i], .bitmap = layout_.entry_words == 2 ? (*words)[i + 1] : 0};
            if (std::string fault = fault_in(entry, layout_, file_bytes_); !fault.empty()) return std::unexpected{std::move(fault)};
            if (entry.is_compressed()) {
                const CompressedPlace place = compressed_place(entry, layout_);
                references_.add(clusters(place.offset, place.bytes));
            } else if (entry.host() != 0) {
                references_.add(clusters(entry.host(), layout_.cluster_bytes), active ? use_of(entry.word) : References::Use::shared);
            }
        }
        return {};
    }

    BlockDevice& file_;
    Layout layout_;
    std::uint64_t file_bytes_;
    References& references_;
};

}  // namespace

std::expected<std::vector<std::uint64_t>, std::string> read_words(BlockDevice& file, std::uint64_t offset, std::uint64_t count) {
    std::vector<std::byte> bytes(count * 8);
    if (count != 0) {
        if (const auto error = read_now(file, offset, bytes)) return std::unexpected{error.message()};
    }
    std::vector<std::uint64_t> words(count);
    for (std::size_t i = 0; i < count; ++i) words[i] = load_be<std::uint64_t>(bytes, i * 8);
    return words;
}

std::expected<std::vector<InnerSnapshot>, std::string> read_snapshots(BlockDevice& file, const Header& header, std::uint64_t file_bytes) {
    std::vector<InnerSnapshot> snapshots;
    if (header.snapshot_count > max_snapshots) return std::unexpected{"it has too many snapshots"};
    std::uint64_t at = header.snapshots_offset;
    for (std::uint32_t i = 0; i < header.snapshot_count; ++i) {
        std::vector<std::byte> fixed(snapshot_fixed_bytes);
        if (at > file_bytes || file_bytes - at < fixed.size()) return std::unexpected{"its snapshot table is cut short"};
        if (const auto error = read_now(file, at, fixed)) return std::unexpected{error.message()};
        const std::uint64_t id = load_be<std::uint16_t>(fixed, 12), name = load_be<std::uint16_t>(fixed, 14),
                            extra = load_be<std::uint32_t>(fixed, 36);
        if (extra > 1024 || file_bytes - at - fixed.size() < extra + id + name) return std::unexpected{"its snapshot table is damaged"};
        std::vector<std::byte> names(id + name);
        if (!names.empty()) {
            if (const auto error = read_now(file, at + fixed.size() + extra, names)) return std::unexpected{error.message()};
        }
        const std::uint64_t bytes = (fixed.size() + extra + id + name + 7) / 8 * 8;
        const std::string_view text = as_text(names);
        snapshots.push_back({.id = std::string{text.substr(0, id)},
                             .name = std::string{text.substr(id)},
                             .l1_offset = load_be<std::uint64_t>(fixed, 0),
                             .l1_entries = load_be<std::uint32_t>(fixed, 8),
                             .bytes = bytes});
        at += bytes;
    }
    return snapshots;
}

void References::add(Run run, Use use) {
    if (run.count != 0) end_ = std::max(end_, run.end());
    for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) {
        auto& chunk = chunks_[cluster / chunk_clusters];
        chunk.resize(chunk_clusters);
        std::uint32_t& count = chunk[cluster % chunk_clusters];
        ++count;
        if (use == Use::of_one) count |= of_one;
    }
}

std::uint64_t References::to(std::uint64_t cluster) const noexcept {
    const auto chunk = chunks_.find(cluster / chunk_clusters);
    return chunk == chunks_.end() ? 0 : chunk->second[cluster % chunk_clusters] & ~of_one;
}

// A cluster that one writes where it is and another one uses.
std::optional<std::uint64_t> References::overlap() const noexcept {
    for (const auto& [number, counts] : chunks_) {
        const auto found = std::ranges::find_if(counts, [](std::uint32_t count) { return count > (of_one | 1); });
        if (found != counts.end()) return number * chunk_clusters + static_cast<std::uint64_t>(found - counts.begin());
    }
    return std::nullopt;
}

std::expected<References, std::string> References::walk(BlockDevice& file, const Header& header, std::span<const std::uint64_t> l1,
                                                        std::span<const std::uint64_t> refcount_table, std::uint64_t file_bytes) {
    References references;
    Walk walk{file, header, file_bytes, references};
    references.add({0, 1}, Use::of_one);
    references.add(walk.clusters(header.refcount_table_offset, std::uint64_t{header.refcount_table_clusters} << header.cluster_bits),
                   Use::of_one);
    for (const std::uint64_t block : refcount_table) {
        if (block != 0) references.add(walk.clusters(block, header.cluster_bytes()), Use::of_one);
    }
    if (!l1.empty()) references.add(walk.clusters(header.l1_offset, l1.size() * 8), Use::of_one);
    if (auto done = walk.tables(l1, true); !done) return std::unexpected{done.error()};
    const auto snapshots = read_snapshots(file, header, file_bytes);
    if (!snapshots) return std::unexpected{snapshots.error()};
    std::uint64_t table_bytes = 0;
    for (const InnerSnapshot& snapshot : *snapshots) {
        table_bytes += snapshot.bytes;
        if (snapshot.l1_entries == 0) continue;
        if (snapshot.l1_entries > max_l1_bytes / 8 || snapshot.l1_offset >= file_bytes)
            return std::unexpected{"a snapshot's table is misplaced"};
        references.add(walk.clusters(snapshot.l1_offset, std::uint64_t{snapshot.l1_entries} * 8), Use::of_one);
        const auto words = read_words(file, snapshot.l1_offset, snapshot.l1_entries);
        if (!words) return std::unexpected{words.error()};
        if (auto done = walk.tables(*words, false); !done) return std::unexpected{done.error()};
    }
    if (table_bytes != 0) references.add(walk.clusters(header.snapshots_offset, table_bytes), Use::of_one);
    if (const auto cluster = references.overlap())
        return std::unexpected{fmt::format("what begins at byte {} is used twice", *cluster << header.cluster_bits)};
    return references;
}

}  // namespace diskless::storage::qcow2
