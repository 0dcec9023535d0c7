#include "storage/qcow2/mapping.hpp"

#include <algorithm>
#include <utility>

#include "common/assert.hpp"

namespace diskless::storage::qcow2 {
namespace {

constexpr std::uint64_t max_slice_bytes = 4096;
constexpr std::uint64_t no_table = 0;

std::vector<std::uint64_t> words_of(ByteSpan bytes) {
    std::vector<std::uint64_t> words(bytes.size() / 8);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = load_be<std::uint64_t>(bytes, i * 8);
    return words;
}

std::uint64_t host_of(std::uint64_t l1_entry) noexcept { return l1_entry & Entry::offset_mask; }

}  // namespace

Mapping::Mapping(const Header& header, std::vector<std::uint64_t> l1, std::shared_ptr<CacheLimit> limit)
    : layout_{header},
      slice_bytes_{std::min(max_slice_bytes, layout_.cluster_bytes)},
      entries_per_slice_{static_cast<std::uint32_t>(slice_bytes_ / 8 / layout_.entry_words)},
      slices_per_table_{static_cast<std::uint32_t>(layout_.cluster_bytes / slice_bytes_)},
      l1_{std::move(l1)},
      tables_(l1_.size()),
      limit_{std::move(limit)} {}

Mapping::~Mapping() { limit_->used_bytes -= slices_ * slice_bytes_; }

Mapping::Slice* Mapping::slice(std::uint64_t guest) const noexcept {
    const Table* table = tables_[layout_.l1_index(guest)].get();
    return table == nullptr ? nullptr : table->slices[slice_index(guest)].get();
}

bool Mapping::loaded(std::uint64_t guest) const noexcept { return l1_[layout_.l1_index(guest)] == no_table || slice(guest) != nullptr; }

Entry Mapping::entry_in(const Slice& slice, std::uint32_t l2_index) const noexcept {
    const std::size_t at = std::size_t{l2_index % entries_per_slice_} * layout_.entry_words;
    return {.word = slice.words[at], .bitmap = layout_.entry_words == 2 ? slice.words[at + 1] : 0};
}

Entry Mapping::entry(std::uint64_t guest) const noexcept {
    const Slice* found = slice(guest);
    return found == nullptr ? Entry{} : entry_in(*found, layout_.l2_index(guest));
}

Stretch Mapping::find(std::uint64_t guest, std::uint64_t bytes) noexcept {
    Stretch stretch;
    const std::uint64_t end = guest + bytes;
    Slice* current = nullptr;
    for (std::uint64_t at = guest; at < end;) {
        Content content = Content::unallocated;
        std::uint64_t host = 0;
        bool in_place = false;
        std::uint64_t until = (at / layout_.l2_reach() + 1) * layout_.l2_reach();
        if (l1_[layout_.l1_index(at)] != no_table) {
            if (current == nullptr || layout_.l2_index(at) % entries_per_slice_ == 0) current = slice(at);
            if (current == nullptr) break;
            current->used = true;
            const Entry entry = entry_in(*current, layout_.l2_index(at));
            const unsigned subcluster = layout_.subcluster_index(at);
            content = entry.content(layout_, subcluster);
            // As far as this subcluster goes, or the whole cluster when it is all alike.
            const std::uint64_t all = (std::uint64_t{1} << layout_.subclusters) - 1;
            const std::uint64_t bits = layout_.subclusters == 1   ? all
                                       : content == Content::zero ? entry.bitmap >> 32
                                                                  : entry.bitmap & 0xffffffff;
            const bool whole = content == Content::compressed || bits == all || (content == Content::unallocated && entry.bitmap == 0);
            const unsigned unit = whole ? layout_.cluster_bits : layout_.subcluster_bits;
            until = ((at >> unit) + 1) << unit;
            if (content == Content::data) {
                host = entry.host() + layout_.in_cluster(at);
                in_place = entry.is_copied();
            }
        } else {
            current = nullptr;
        }
        if (at == guest) {
            stretch = {.loaded = true, .content = content, .in_place = in_place, .host = host};
        } else if (content != stretch.content ||
                   (content == Content::data && (host != stretch.host + (at - guest) || in_place != stretch.in_place))) {
            break;
        }
        until = std::min(until, end);
        stretch.bytes = until - guest;
        if (content == Content::compressed) break;
        at = until;
    }
    return stretch;
}

Mapping::Place Mapping::slice_place(std::uint64_t guest) const noexcept {
    return {.offset = host_of(l1_[layout_.l1_index(guest)]) + slice_index(guest) * slice_bytes_, .bytes = slice_bytes_};
}

Mapping::Table& Mapping::table(std::uint32_t index) {
    if (!tables_[index]) {
        tables_[index] = std::make_unique<Table>();
        tables_[index]->slices.resize(slices_per_table_);
    }
    return *tables_[index];
}

Mapping::Slice& Mapping::add_slice(std::uint32_t table_index, std::uint32_t index) {
    make_room();
    auto made = std::make_unique<Slice>();
    made->table = table_index;
    made->index = index;
    made->words.resize(slice_bytes_ / 8);
    clock_.push_back(made.get());
    ++slices_;
    limit_->used_bytes += slice_bytes_;
    return *(table(table_index).slices[index] = std::move(made));
}

// The clock algorithm over this image's slices. What is not in the file yet stays.
void Mapping::make_room() {
    if (limit_->used_bytes.load() + slice_bytes_ <= limit_->limit_bytes || slices_ < CacheLimit::min_slices) return;
    for (std::size_t tries = clock_.size() * 2; tries > 0; --tries) {
        if (hand_ >= clock_.size()) hand_ = 0;
        Slice* candidate = clock_[hand_];
        if (candidate->dirty || candidate->writing || tables_[candidate->table]->fresh || std::exchange(candidate->used, false)) {
            ++hand_;
            continue;
        }
        clock_[hand_] = clock_.back();
        clock_.pop_back();
        tables_[candidate->table]->slices[candidate->index].reset();
        --slices_;
        limit_->used_bytes -= slice_bytes_;
        return;
    }
}

std::string Mapping::fault_in_table(ByteSpan bytes, std::uint64_t file_bytes) const {
    for (std::size_t at = 0; at < bytes.size(); at += 8 * std::size_t{layout_.entry_words}) {
        const Entry entry{.word = load_be<std::uint64_t>(bytes, at),
                          .bitmap = layout_.entry_words == 2 ? load_be<std::uint64_t>(bytes, at + 8) : 0};
        if (std::string fault = fault_in(entry, layout_, file_bytes); !fault.empty()) return fault;
    }
    return "";
}

std::string Mapping::load(std::uint64_t guest, ByteSpan bytes, std::uint64_t file_bytes) {
    if (slice(guest) != nullptr) return "";
    if (std::string fault = fault_in_table(bytes, file_bytes); !fault.empty()) return fault;
    add_slice(layout_.l1_index(guest), slice_index(guest)).words = words_of(bytes);
    return "";
}

std::uint64_t Mapping::table_host(std::uint64_t guest) const noexcept { return host_of(l1_[layout_.l1_index(guest)]); }

bool Mapping::has_own_table(std::uint64_t guest) const noexcept { return (l1_[layout_.l1_index(guest)] & Entry::copied) != 0; }

void Mapping::own_table(std::uint64_t guest, std::uint64_t host, ByteSpan contents) {
    const std::uint32_t index = layout_.l1_index(guest);
    l1_[index] = host | Entry::copied;
    Table& owned = table(index);
    owned.fresh = true;
    owned.known = false;
    for (std::uint32_t i = 0; i < slices_per_table_; ++i) {
        if (!owned.slices[i]) {
            Slice& added = add_slice(index, i);
            if (!contents.empty()) added.words = words_of(contents.subspan(i * slice_bytes_, slice_bytes_));
        }
        make_dirty(*owned.slices[i]);
    }
    changed_tables_.push_back(index);
}

void Mapping::make_dirty(Slice& slice) {
    if (std::exchange(slice.dirty, true)) return;
    dirty_.push_back(&slice);
    ++dirty_slices_;
}

void Mapping::set(std::uint64_t guest, const Entry& entry) noexcept {
    Slice* found = slice(guest);
    DISKLESS_ASSERT(found != nullptr);
    const std::size_t at = std::size_t{layout_.l2_index(guest) % entries_per_slice_} * layout_.entry_words;
    found->words[at] = entry.word;
    if (layout_.entry_words == 2) found->words[at + 1] = entry.bitmap;
    found->used = true;
    make_dirty(*found);
}

std::vector<std::byte> Mapping::encode(const Slice& slice) const {
    std::vector<std::byte> bytes(slice_bytes_);
    for (std::size_t i = 0; i < slice.words.size(); ++i) store_be(MutableByteSpan{bytes}, i * 8, slice.words[i]);
    return bytes;
}

MappingChanges Mapping::take_changes(std::uint64_t l1_offset) {
    MappingChanges changes;
    for (Slice* slice : dirty_) {
        slice->dirty = false;
        slice->writing = true;
        Page page{.offset = host_of(l1_[slice->table]) + slice->index * slice_bytes_, .bytes = encode(*slice)};
        (tables_[slice->table]->fresh ? changes.new_tables : changes.pages).push_back(std::move(page));
    }
    for (const std::uint32_t index : changed_tables_) {
        tables_[index]->fresh = false;
        Page entry{.offset = l1_offset + std::uint64_t{index} * 8, .bytes = std::vector<std::byte>(8)};
        store_be(MutableByteSpan{entry.bytes}, 0, l1_[index]);
        changes.l1_entries.push_back(std::move(entry));
    }
    writing_ = std::exchange(dirty_, {});
    writing_tables_ = std::exchange(changed_tables_, {});
    dirty_slices_ = 0;
    return changes;
}

void Mapping::written() noexcept {
    for (Slice* slice : writing_) slice->writing = false;
    writing_.clear();
    writing_tables_.clear();
}

void Mapping::not_written(bool tables_known) noexcept {
    for (Slice* slice : writing_) {
        slice->writing = false;
        make_dirty(*slice);
    }
    for (const std::uint32_t index : writing_tables_) {
        Table& table = *tables_[index];
        table.known = table.known || tables_known;
        table.fresh = !table.known;
    }
    changed_tables_.insert(changed_tables_.end(), writing_tables_.begin(), writing_tables_.end());
    writing_.clear();
    writing_tables_.clear();
}

}  // namespace diskless::storage::qcow2
