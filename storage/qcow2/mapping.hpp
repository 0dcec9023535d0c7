// Mapping: which guest bytes lie where. The first-level table in memory, second-level tables in slices of at most 4 KiB that are loaded
// when they are needed, changed in memory, and written by checkpoints. Pure: whoever owns it reads and writes the file, and holds its
// mutex.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "storage/qcow2/format.hpp"

namespace diskless::storage::qcow2 {

/// How much memory the second-level tables of many images may take together. A slice that is needed is loaded all the same when all are
/// used up, but then its image first gives back what it can: over the limit are at most `min_slices` of every open image, and what is not
/// yet written.
struct CacheLimit {
    static constexpr std::uint64_t min_slices = 16;
    explicit CacheLimit(std::uint64_t bytes = std::uint64_t{64} << 20) noexcept : limit_bytes{bytes} {}
    std::uint64_t limit_bytes;
    std::atomic<std::uint64_t> used_bytes{0};
};

/// A stretch of the guest's disk that is alike.
struct Stretch {
    bool loaded = false;  ///< false: the slice has to be loaded first, and nothing else is known
    Content content = Content::unallocated;
    bool in_place = false;    ///< data: may be overwritten where it is
    std::uint64_t host = 0;   ///< data: where it begins in the file
    std::uint64_t bytes = 0;  ///< how far it goes
};

/// Bytes to be written to the file.
struct Page {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
};

/// What a checkpoint writes, in this order: new tables, then (these durable) pages and first-level entries.
struct MappingChanges {
    std::vector<Page> new_tables;
    std::vector<Page> pages;       ///< of tables that were there before
    std::vector<Page> l1_entries;  ///< 8 bytes each
    [[nodiscard]] bool empty() const noexcept { return new_tables.empty() && pages.empty() && l1_entries.empty(); }
};

class Mapping {
 public:
    /// `l1`: in host order, as long as the header says.
    Mapping(const Header& header, std::vector<std::uint64_t> l1, std::shared_ptr<CacheLimit> limit);
    ~Mapping();
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
    [[nodiscard]] Stretch find(std::uint64_t guest, std::uint64_t bytes) noexcept;
    /// The entry of the cluster at `guest`, whose slice is loaded (or whose table does not exist: an empty entry).
    [[nodiscard]] Entry entry(std::uint64_t guest) const noexcept;
    [[nodiscard]] bool loaded(std::uint64_t guest) const noexcept;

    /// Where the slice for `guest` lies in the file, and how long it is.
    struct Place {
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;
    };
    [[nodiscard]] Place slice_place(std::uint64_t guest) const noexcept;
    /// What is wrong with a slice or a table that was read; empty: nothing.
    [[nodiscard]] std::string fault_in_table(ByteSpan bytes, std::uint64_t file_bytes) const;
    /// Takes a slice that was read from slice_place(); does nothing if it is there already. The error says what is wrong with it.
    [[nodiscard]] std::string load(std::uint64_t guest, ByteSpan bytes, std::uint64_t file_bytes);

    // Changing. has_own_table() first: false asks for own_table(), with the contents of the old one if there is an old one.
    [[nodiscard]] bool has_own_table(std::uint64_t guest) const noexcept;
    [[nodiscard]] std::uint64_t table_host(std::uint64_t guest) const noexcept;  ///< 0: none
    void own_table(std::uint64_t guest, std::uint64_t host, ByteSpan contents);
    void set(std::uint64_t guest, const Entry& entry) noexcept;

    [[nodiscard]] std::uint64_t dirty_slices() const noexcept { return dirty_slices_; }
    [[nodiscard]] bool changed() const noexcept { return dirty_slices_ != 0 || !changed_tables_.empty(); }
    /// What is to be written now. Until written() or not_written() it stays in memory.
    [[nodiscard]] MappingChanges take_changes(std::uint64_t l1_offset);
    void written() noexcept;
    /// `tables_known`: the file may already refer to the new tables, which from then on are written like any other.
    void not_written(bool tables_known) noexcept;

    /// Of the tables: for recounting, and for checks.
    [[nodiscard]] std::span<const std::uint64_t> l1() const noexcept { return l1_; }
    [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return slices_ * slice_bytes_; }

 private:
    struct Slice {
        std::vector<std::uint64_t> words;
        std::uint32_t table;
        std::uint32_t index;
        bool dirty = false;    ///< changed since it was last taken
        bool writing = false;  ///< taken, and not yet in the file
        bool used = false;
    };
    struct Table {
        bool fresh = false;  ///< nothing in the file refers to it yet: it may be written before what it refers to is counted
        bool known = false;  ///< an attempt to refer to it has been made
        bool writing = false;
        std::vector<std::unique_ptr<Slice>> slices;
    };

    [[nodiscard]] Slice* slice(std::uint64_t guest) const noexcept;
    Slice& add_slice(std::uint32_t table, std::uint32_t index);
    Table& table(std::uint32_t index);
    void make_dirty(Slice& slice);
    void make_room();
    [[nodiscard]] std::uint32_t slice_index(std::uint64_t guest) const noexcept { return layout_.l2_index(guest) / entries_per_slice_; }
    [[nodiscard]] Entry entry_in(const Slice& slice, std::uint32_t l2_index) const noexcept;
    [[nodiscard]] std::vector<std::byte> encode(const Slice& slice) const;

    Layout layout_;
    std::uint64_t slice_bytes_;
    std::uint32_t entries_per_slice_, slices_per_table_;
    std::vector<std::uint64_t> l1_;
    std::vector<std::unique_ptr<Table>> tables_;
    std::shared_ptr<CacheLimit> limit_;
    std::uint64_t slices_ = 0, dirty_slices_ = 0;
    std::vector<Slice*> clock_;  ///< all slices, in no order
    std::size_t hand_ = 0;
    std::vector<Slice*> dirty_, writing_;
    std::vector<std::uint32_t> changed_tables_, writing_tables_;
};

}  // namespace diskless::storage::qcow2
