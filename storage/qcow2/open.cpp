// Image: opening, closing, and putting right what a crash has left.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <semaphore>
#include <stdexcept>
#include <unordered_map>

#include "common/log.hpp"
#include "storage/blocking.hpp"
#include "storage/qcow2/image.hpp"
#include "storage/qcow2/references.hpp"

namespace diskless::storage::qcow2 {
namespace {

constexpr std::size_t incompatible_at = 72, autoclear_at = 88, size_at = 24;

[[noreturn]] void refuse(std::string_view name, std::string_view why) { throw std::runtime_error{fmt::format("disk {}: {}", name, why)}; }

Job run_and_tell(Task<Image::Error> task, Image::Error& error, std::binary_semaphore& done) {
    error = co_await std::move(task);
    done.release();
}

/// On this thread, as far as it goes without waiting; the rest wherever requests complete.
Image::Error run_now(Task<Image::Error> task) {
    Image::Error error;
    std::binary_semaphore done{0};
    run_and_tell(std::move(task), error, done);
    done.acquire();
    return error;
}

Header read_header(BlockDevice& file) {
    const std::uint64_t file_bytes = file.geometry().size_bytes;
    std::uint64_t want = std::uint64_t{64} << 10;
    while (true) {
        std::vector<std::byte> first(std::min(want, file_bytes));
        if (!first.empty()) {
            if (const auto error = read_now(file, 0, first)) refuse(file.name(), error.message());
        }
        const auto header = parse_header(first, file_bytes);
        const std::uint32_t cluster_bits = first.size() < 24 ? 0 : load_be<std::uint32_t>(first, 20);
        // A larger first cluster may hold more extensions than were read.
        if (cluster_bits <= 21 && want >> cluster_bits == 0 && want < file_bytes) {
            want = std::uint64_t{1} << cluster_bits;
            continue;
        }
        if (!header) refuse(file.name(), header.error());
        return *header;
    }
}

/// `places`: the bits of an entry that say where.
std::vector<std::uint64_t> read_table(BlockDevice& file, std::uint64_t offset, std::uint64_t entries, std::uint64_t cluster_bytes,
                                      std::uint64_t places, const char* which) {
    auto words = read_words(file, offset, entries);
    if (!words) refuse(file.name(), words.error());
    for (const std::uint64_t word : *words) {
        const std::uint64_t place = word & places;
        if (place % cluster_bytes != 0 || (place != 0 && place >= file.geometry().size_bytes))
            refuse(file.name(), fmt::format("its {} points outside the file; repair it: qemu-img check -r all", which));
    }
    return *words;
}

Image::Error write_word(BlockDevice& file, std::uint64_t at, std::uint64_t word) {
    std::array<std::byte, 8> bytes{};
    store_be(MutableByteSpan{bytes}, 0, word);
    return write_now(file, at, bytes);
}

}  // namespace

std::shared_ptr<Image> Image::open(std::shared_ptr<BlockDevice> file, const ImageOptions& options, const OpenBacking& open_backing) {
    const Header header = read_header(*file);
    if (!options.read_only && header.version < 3)
        refuse(file->name(), "it is of version 2, which is only read; make it version 3: qemu-img amend -o compat=1.1");
    auto l1 = read_table(*file, header.l1_offset, header.l1_entries, header.cluster_bytes(), Entry::offset_mask, "first-level table");
    std::vector<std::uint64_t> refcounts;
    if (!options.read_only) {
        refcounts =
            read_table(*file, header.refcount_table_offset, (std::uint64_t{header.refcount_table_clusters} << header.cluster_bits) / 8,
                       header.cluster_bytes(), ~std::uint64_t{0}, "refcount table");
    }
    std::shared_ptr<BlockDevice> backing;
    if (!header.backing_name.empty()) backing = open_backing(header.backing_name, header.backing_format);
    // Not make_shared: the constructor is nobody else's.
    std::shared_ptr<Image> image{new Image{std::move(file), std::move(backing), header, std::move(l1), std::move(refcounts), options}};
    if (!options.read_only) image->recover();
    return image;
}

Image::Image(std::shared_ptr<BlockDevice> file, std::shared_ptr<BlockDevice> backing, Header header, std::vector<std::uint64_t> l1,
             std::vector<std::uint64_t> refcount_table, const ImageOptions& options)
    : file_{std::move(file)},
      backing_{std::move(backing)},
      header_{std::move(header)},
      geometry_{.size_bytes = header_.size_bytes / options.logical_block_bytes * options.logical_block_bytes,
                .logical_block_bytes = options.logical_block_bytes,
                .physical_block_bytes = std::max(options.physical_block_bytes, options.logical_block_bytes),
                .read_only = options.read_only,
                .can_discard = options.thin && !options.read_only},
      space_is_short_{options.space_is_short},
      backing_bytes_{backing_ ? std::min(header_.size_bytes, backing_->geometry().size_bytes) : 0},
      mapping_{header_, std::move(l1), options.cache ? options.cache : std::make_shared<CacheLimit>()},
      refcounts_{*file_, header_, std::move(refcount_table)} {
    if (!options.journal.empty() && !options.read_only) journal_ = std::make_unique<Journal>(options.journal, header_.cluster_bytes());
}

Image::~Image() {
    if (geometry_.read_only) return;
    const Error error = run_now(flush());
    std::unique_lock lock{mutex_};
    idle_.wait(lock, [this] { return !checkpointing_; });
    if (!error && journal_) journal_->close();
}

// The file says what its counts are; whoever wants to take space has to know. `truth`: who really points where, and counts are put right.
Task<Image::Error> Image::learn_space(Hold& hold, const References* truth) {
    const Layout& layout = mapping_.layout();
    const std::vector<std::uint64_t> table = refcounts_.table();
    std::vector<std::byte> block(layout.cluster_bytes);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> corrections;
    std::uint64_t end = 0, leaked = 0;
    std::vector<Run> free, missing, unused;
    const auto append = [](std::vector<Run>& runs, std::uint64_t cluster) {
        if (!runs.empty() && runs.back().end() == cluster) {
            ++runs.back().count;
        } else {
            runs.push_back({cluster, 1});
        }
    };
    const std::uint64_t blocks = std::max<std::uint64_t>(table.size(), truth == nullptr ? 0 : truth->end() / layout.counts_per_block + 1);
    for (std::uint64_t i = 0; i < blocks; ++i) {
        const bool there = i < table.size() && table[i] != 0;
        const std::uint64_t first = i * layout.counts_per_block;
        if (!there && (truth == nullptr || first >= truth->end())) continue;
        if (there) {
            const iovec piece{block.data(), block.size()};
            hold.unlock();
            const Error error = co_await Io{*file_, IoKind::read, table[i], block.size(), {&piece, 1}};
            hold.lock();
            if (error) co_return error;
        }
        for (std::uint64_t n = 0; n < layout.counts_per_block; ++n) {
            const std::uint64_t cluster = first + n;
            const std::uint64_t count = there ? load_count(block, n, layout.refcount_bits) : 0;
            const std::uint64_t references = truth == nullptr ? count : truth->to(cluster);
            if (references != 0 || count != 0) end = cluster + 1;
            if (count == 0 && references == 0) append(free, cluster);
            if (count == references) continue;
            if (references == 0) ++leaked;
            if (count == 0 && references == 1) {
                append(missing, cluster);
            } else if (count == 1 && references == 0) {
                append(unused, cluster);
            } else {
                corrections.emplace_back(cluster, references);
            }
        }
    }
    space_.set_end(end);
    for (const Run& run : free) {
        if (run.end() <= end) space_.add_free(run);
    }
    for (const Run& run : missing) space_.adopt(run);
    if (!corrections.empty()) {
        hold.unlock();
        const Error error = co_await refcounts_.set(corrections);
        hold.lock();
        if (error) co_return error;
    }
    for (const Run& run : unused) space_.release(run);
    if (leaked != 0) log::info("disk.repaired", "disk={} leaked_clusters={}", name(), leaked);
    space_known_ = true;
    co_return Error{};
}

Task<Image::Error> Image::prepare_space(Hold& hold) {
    if (std::exchange(learning_space_, true)) {
        co_await changed_.wait(hold);
        co_return Error{};  // the caller looks again
    }
    const Error error = co_await learn_space(hold, nullptr);
    learning_space_ = false;
    wake(hold);
    co_return error;
}

void Image::recover() {
    const bool dirty = (header_.incompatible & incompatible::dirty) != 0;
    // Tables that somebody else may have made, or that nobody has closed: nothing is written before all of them were looked at.
    const bool unknown = !journal_ || journal_->is_new();
    const bool unclean = dirty || unknown || !journal_->was_closed();
    if (header_.autoclear != 0) {
        if (const Error error = write_word(*file_, autoclear_at, 0)) refuse(name(), error.message());
        header_.autoclear = 0;
    }
    if (unclean) {
        // Set aside: until all of it is in the tables it has to stay as it is.
        auto journal = std::exchange(journal_, nullptr);
        const auto records = journal ? journal->left() : std::vector<JournalRecord>{};
        auto references = References::walk(*file_, header_, mapping_.l1(), refcounts_.table(), file_bytes());
        if (!references) refuse(name(), fmt::format("{}; repair it: qemu-img check -r all", references.error()));
        if (const Error error = run_now(apply(records, *references)))
            refuse(name(), error.value() == EUCLEAN ? "its counts are damaged; repair it: qemu-img check -r all" : error.message());
        if (dirty) {
            header_.incompatible &= ~incompatible::dirty;
            const Error error = write_word(*file_, incompatible_at, header_.incompatible);
            if (error || flush_now(*file_)) refuse(name(), "it cannot be marked as repaired");
        }
        if (dirty || !unknown) log::info("disk.recovered", "disk={} records={}", name(), records.size());
        journal_ = std::move(journal);
    }
    if (journal_) journal_->begin();
}

// What the journal says, over what the tables say.
Task<Image::Error> Image::apply(std::vector<JournalRecord> records, References references) {
    const Layout& layout = mapping_.layout();
    std::unordered_map<std::uint64_t, Entry> last;
    for (const JournalRecord& record : records) {
        for (std::uint64_t i = 0; i < record.clusters && record.guest + i * layout.cluster_bytes < geometry_.size_bytes; ++i)
            last[record.guest + i * layout.cluster_bytes] = record.entry;
    }
    Hold hold{mutex_};
    std::vector<std::pair<std::uint64_t, Entry>> changes;
    for (const auto& [guest, entry] : last) {
        if (guest % layout.cluster_bytes != 0 || entry.is_compressed() || !fault_in(entry, layout, Entry::offset_mask).empty()) continue;
        while (!mapping_.loaded(guest)) {
            if (const Error error = co_await load(hold, guest)) co_return error;
        }
        const Entry before = mapping_.entry(guest);
        if (before == entry) continue;
        changes.emplace_back(guest, entry);
        if (entry.host() != 0 && entry.host() != before.host()) references.add({entry.host() >> layout.cluster_bits, 1});
    }
    if (const Error error = co_await learn_space(hold, &references)) co_return error;
    for (const auto& [guest, entry] : changes) {
        Step step = Step::again;
        while (step == Step::again) {
            step = Step::done;
            if (const Error error = co_await own_table(hold, guest, step)) co_return error;
        }
        while (!mapping_.loaded(guest)) {
            if (const Error error = co_await load(hold, guest)) co_return error;
        }
        const Entry before = mapping_.entry(guest);
        mapping_.set(guest, entry);
        if (before.is_compressed() || before.host() != entry.host()) release(before);
    }
    co_return co_await checkpointed(hold);
}

Image::Error Image::grow(std::uint64_t size_bytes) {
    const Layout& layout = mapping_.layout();
    if (size_bytes <= header_.size_bytes) return {};
    const auto l1 = mapping_.l1();
    const std::uint64_t needed = (size_bytes + layout.l2_reach() - 1) / layout.l2_reach();
    if (needed > max_l1_bytes / 8) return {EFBIG, boost::system::system_category()};
    const std::uint64_t room = layout.round_up(l1.size() * 8) / 8;
    std::uint64_t place = header_.l1_offset;
    Run old;
    if (needed > room) {
        Hold hold{mutex_};
        if (!space_known_) {
            hold.unlock();
            if (const Error error = run_now(learn())) return error;
            hold.lock();
        }
        place = space_.append(layout.round_up(needed * 8) >> layout.cluster_bits).first << layout.cluster_bits;
        old = {header_.l1_offset >> layout.cluster_bits, room * 8 >> layout.cluster_bits};
    }
    if (const Error error = run_now(flush())) return error;
    std::vector<std::byte> words(layout.round_up(needed * 8));
    for (std::size_t i = 0; i < l1.size(); ++i) store_be(MutableByteSpan{words}, i * 8, l1[i]);
    if (const Error error = write_now(*file_, place, words)) return error;
    if (const Error error = flush_now(*file_)) return error;
    std::array<std::byte, 24> fields{};
    store_be(MutableByteSpan{fields}, 0, size_bytes);
    store_be(MutableByteSpan{fields}, 12, static_cast<std::uint32_t>(needed));
    store_be(MutableByteSpan{fields}, 16, place);
    if (const Error error = write_now(*file_, size_at, fields)) return error;
    if (const Error error = flush_now(*file_)) return error;
    header_.size_bytes = size_bytes;
    header_.l1_offset = place;
    if (old.count == 0) return {};
    {
        const std::lock_guard lock{mutex_};
        space_.release(old);
    }
    return run_now(flush());
}

Image::Error Image::stand_on(const std::string& backing_name, const std::string& backing_format) {
    if (const Error error = run_now(flush())) return error;
    header_.refcount_table_offset = refcounts_.table_run().first << header_.cluster_bits;
    header_.refcount_table_clusters = static_cast<std::uint32_t>(refcounts_.table_run().count);
    Header changed = header_;
    changed.backing_name = backing_name;
    changed.backing_format = backing_name.empty() ? "" : backing_format;
    if (!fits(changed)) return {ENAMETOOLONG, boost::system::system_category()};
    // Only what differs is written: mostly one sector, which a crash does not tear.
    const auto before = encode_header(header_), after = encode_header(changed);
    std::size_t end = after.size();
    while (end > 0 && before[end - 1] == after[end - 1]) --end;
    if (const Error error = write_now(*file_, 0, ByteSpan{after}.first((end + 511) / 512 * 512))) return error;
    if (const Error error = flush_now(*file_)) return error;
    header_ = changed;
    return {};
}

std::expected<Image::Own, Image::Error> Image::own_at(std::uint64_t at) {
    Own own;
    if (const Error error = run_now(find_own(at, own))) return std::unexpected{error};
    return own;
}

Task<Image::Error> Image::find_own(std::uint64_t at, Own& own) {
    Hold hold{mutex_};
    while (true) {
        const Stretch stretch = mapping_.find(at, geometry_.size_bytes - at);
        if (stretch.loaded) {
            own = {.bytes = stretch.bytes, .held = stretch.content != Content::unallocated};
            co_return Error{};
        }
        if (const Error error = co_await load(hold, at)) co_return error;
    }
}

Task<Image::Error> Image::learn() {
    Hold hold{mutex_};
    while (!space_known_) {
        if (const Error error = co_await prepare_space(hold)) co_return error;
    }
    co_return Error{};
}

}  // namespace diskless::storage::qcow2
