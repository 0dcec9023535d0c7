// Image: checkpoints. The order is told at the head of image.hpp.
#include <cerrno>

#include "common/log.hpp"
#include "storage/qcow2/image.hpp"

namespace diskless::storage::qcow2 {
namespace {

constexpr std::uint64_t many_dirty_slices = 1024;
constexpr std::uint64_t too_many_dirty_slices = 4096;
constexpr std::uint64_t many_released_bytes = std::uint64_t{256} << 20;

bool is_out_of_space(const Image::Error& error) noexcept { return error.value() == ENOSPC || error.value() == EDQUOT; }

Task<Image::Error> write_pages(BlockDevice& file, const std::vector<Page>& pages) {
    for (const Page& page : pages) {
        const iovec piece{const_cast<std::byte*>(page.bytes.data()), page.bytes.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
        if (const Image::Error error = co_await Io{file, IoKind::write, page.offset, page.bytes.size(), {&piece, 1}}) co_return error;
    }
    co_return Image::Error{};
}

}  // namespace

// Everything that was acknowledged is in the file's tables, and durable if its data is.
bool Image::metadata_clean() const noexcept {
    return !mapping_.changed() && !space_.anything_to_count() && wanted_ == done_ && !checkpoint_error_;
}

bool Image::much_is_dirty() const noexcept {
    return mapping_.dirty_slices() > many_dirty_slices || (journal_ && journal_->used() > Journal::max_records / 2) ||
           space_.released_clusters() << mapping_.layout().cluster_bits > many_released_bytes;
}

Task<Image::Error> Image::make_room(Hold& hold, std::uint64_t records, Step& step) {
    if ((!journal_ || journal_->has_room(reserved_records_ + records)) && mapping_.dirty_slices() < too_many_dirty_slices)
        co_return Error{};
    step = Step::again;
    co_return co_await checkpointed(hold);
}

Task<Image::Error> Image::flush() {
    Hold hold{mutex_};
    if (broken_) co_return broken_;
    if (!metadata_clean()) co_return co_await checkpointed(hold);
    hold.unlock();
    co_return co_await Io{*file_, IoKind::flush, 0, 0};
}

// Waits for a checkpoint that covers everything of before this call.
Task<Image::Error> Image::checkpointed(Hold& hold) {
    const std::uint64_t mine = begun_ + 1;
    want_checkpoint(hold);
    while (done_ < mine) co_await changed_.wait(hold);
    co_return checkpoint_error_;
}

void Image::want_checkpoint(Hold& hold) {
    wanted_ = begun_ + 1;
    if (std::exchange(checkpointing_, true)) return;
    hold.unlock();
    run_checkpoints();
    hold.lock();
}

Job Image::run_checkpoints() {
    Hold hold{mutex_};
    while (begun_ < wanted_) {
        const std::uint64_t number = ++begun_;
        checkpoint_error_ = co_await checkpoint(hold);
        done_ = number;
        wake(hold);
        co_await free_released(hold);
    }
    checkpointing_ = false;
    idle_.notify_all();
}

Task<Image::Error> Image::checkpoint(Hold& hold) {
    if (broken_) co_return broken_;
    epoch_ ^= 1;  // what is under way now may still use what is released here
    auto allocated = space_.take_allocated();
    auto released = space_.take_released();
    auto punches = std::exchange(punches_, {});
    const MappingChanges changes = mapping_.take_changes(header_.l1_offset);
    if (journal_) journal_->flip();
    const Error error = co_await write_changes(hold, allocated, released, changes);
    if (!error) {
        if (journal_) journal_->clear_old();
        to_free_.insert(to_free_.end(), released.begin(), released.end());
        to_punch_.insert(to_punch_.end(), punches.begin(), punches.end());
        co_return error;
    }
    space_.put_back(std::move(allocated), std::move(released));
    punches_.insert(punches_.end(), punches.begin(), punches.end());
    log::error("disk.checkpoint_failed", "disk={} error=\"{}\"", name(), error.message());
    // Without space nothing is lost: it is tried again. Anything else is not to be believed any more.
    if (!is_out_of_space(error)) broken_ = error;
    co_return error;
}

Task<Image::Error> Image::write_changes(Hold& hold, std::vector<Run>& allocated, std::vector<Run>& released,
                                        const MappingChanges& changes) {
    refcounts_.cover(allocated, released, *this);
    hold.unlock();
    Error error = co_await refcounts_.count_new(allocated);
    if (!error) error = co_await write_pages(*file_, changes.new_tables);
    if (!error) error = co_await Io{*file_, IoKind::flush, 0, 0};
    bool tables_known = false;
    if (!error && !changes.empty()) {
        error = co_await write_pages(*file_, changes.pages);
        tables_known = !error;
        if (!error) error = co_await write_pages(*file_, changes.l1_entries);
        if (!error) error = co_await Io{*file_, IoKind::flush, 0, 0};
    }
    hold.lock();
    if (error) {
        mapping_.not_written(tables_known);
    } else {
        mapping_.written();
    }
    co_return error;
}

// What nothing refers to any more is counted down, given back to the file system, and may be used again.
Task<void> Image::free_released(Hold& hold) {
    const unsigned old = epoch_ ^ 1;
    while (in_flight_[old] != 0) co_await changed_.wait(hold);
    if (broken_ || (to_free_.empty() && to_punch_.empty())) co_return;
    const auto released = std::exchange(to_free_, {});
    auto punches = std::exchange(to_punch_, {});
    const unsigned bits = mapping_.layout().cluster_bits;
    hold.unlock();
    const std::vector<Run> freed = co_await refcounts_.count_down(released);
    if (geometry_.can_discard) {
        // It is no failure when the file system cannot: the clusters are free all the same.
        for (const Run& run : freed) (void)co_await Io{*file_, IoKind::discard, run.first << bits, run.count << bits};
    }
    hold.lock();
    for (const Run& run : freed) space_.add_free(run);
    if (geometry_.can_discard) co_await punch(hold, std::move(punches));
}

// Holes for zeroed subclusters of clusters that stay; whoever wants to write there waits.
Task<void> Image::punch(Hold& hold, std::vector<Punch> punches) {
    const Layout& layout = mapping_.layout();
    for (const Punch& where : punches) {
        if (!mapping_.loaded(where.guest)) continue;  // nobody has come back to it; its file takes a little more
        const Entry entry = mapping_.entry(where.guest);
        if (entry.is_compressed() || entry.host() != where.host) continue;
        for (unsigned first = 0; first < layout.subclusters;) {
            unsigned end = first;
            while (end < layout.subclusters && (entry.bitmap >> (32 + end) & 1) != 0) ++end;
            const std::uint64_t guest = where.guest + first * layout.subcluster_bytes();
            const std::uint64_t bytes = (end - first) * layout.subcluster_bytes();
            if (bytes != 0 && !is_busy(guest, guest + bytes)) {
                const Busy busy{guest >> layout.subcluster_bits, (guest + bytes - 1) >> layout.subcluster_bits};
                busy_.push_back(busy);
                hold.unlock();
                (void)co_await Io{*file_, IoKind::discard, where.host + first * layout.subcluster_bytes(), bytes};
                hold.lock();
                std::erase_if(busy_, [&](const Busy& b) { return b.first == busy.first && b.last == busy.last; });
                wake(hold);
                // What the entry says may have changed meanwhile, but only elsewhere in the cluster.
                if (!mapping_.loaded(where.guest) || mapping_.entry(where.guest) != entry) break;
            }
            first = end + 1;
        }
    }
}

void Image::tidy() noexcept {
    Hold hold{mutex_};
    if (!metadata_clean() && !broken_ && !geometry_.read_only) want_checkpoint(hold);
}

}  // namespace diskless::storage::qcow2
