// Image: writing and zeroing.
#include <algorithm>
#include <array>
#include <cerrno>

#include "storage/pieces.hpp"
#include "storage/qcow2/image.hpp"

namespace diskless::storage::qcow2 {
namespace {

/// New space is taken in rows of at most this much.
constexpr std::uint64_t max_run_bytes = std::uint64_t{2} << 20;
constexpr std::size_t zeros_bytes = std::size_t{64} << 10;
constexpr std::uint64_t all_subclusters = 0xffffffff;

iovec zeros() noexcept {
    static std::array<std::byte, zeros_bytes> bytes{};  // never written
    return {bytes.data(), bytes.size()};
}

/// Bits first to last.
std::uint64_t bits(unsigned first, unsigned last) noexcept { return (all_subclusters >> (31 - (last - first))) << first; }

}  // namespace

bool Image::is_busy(std::uint64_t from, std::uint64_t until) const noexcept {
    const unsigned shift = mapping_.layout().subcluster_bits;
    const Busy wanted{from >> shift, (until - 1) >> shift};
    return std::ranges::any_of(busy_, [&](const Busy& busy) { return busy.first <= wanted.last && wanted.first <= busy.last; });
}

void Image::set(std::uint64_t guest, const Entry& entry) {
    mapping_.set(guest, entry);
    if (journal_) journal_->append(guest, entry);
}

// Nothing refers to what the entry held any more.
void Image::release(const Entry& entry) {
    const unsigned bits = mapping_.layout().cluster_bits;
    if (entry.is_compressed()) {
        const CompressedPlace place = compressed_place(entry, mapping_.layout());
        const std::uint64_t first = place.offset >> bits, last = (place.offset + place.bytes - 1) >> bits;
        space_.release({first, last - first + 1});
    } else if (entry.host() != 0) {
        space_.release({entry.host() >> bits, 1});
    }
}

Task<Image::Error> Image::write(std::uint64_t begin, std::uint64_t bytes, std::span<const iovec> from) {
    Hold hold{mutex_};
    const std::uint64_t end = begin + bytes;
    for (std::uint64_t at = begin; at < end;) {
        if (broken_) co_return broken_;
        const Stretch stretch = mapping_.find(at, end - at);
        Error error;
        if (!stretch.loaded) {
            error = co_await load(hold, at);
        } else if (stretch.content == Content::data && stretch.in_place) {
            const unsigned epoch = enter();
            hold.unlock();
            const auto pieces = cut(from, at - begin, stretch.bytes);
            error = co_await Io{*file_, IoKind::write, stretch.host, stretch.bytes, pieces};
            hold.lock();
            leave(hold, epoch);
            at += stretch.bytes;
        } else {
            error = co_await touch(hold, begin, at, end, from);
        }
        if (error) co_return error;
    }
    co_return Error{};
}

Image::Placed* Image::placed_at(std::uint64_t cluster) noexcept {
    const auto found = std::ranges::find(placed_, cluster, &Placed::guest);
    return found == placed_.end() ? nullptr : &*found;
}

// Where a cluster lies or is going to; 0: nowhere.
std::uint64_t Image::place_of(std::uint64_t cluster) noexcept {
    if (const std::uint64_t host = mapping_.entry(cluster).host(); host != 0) return host;
    const Placed* placed = placed_at(cluster);
    return placed == nullptr ? 0 : placed->host;
}

// How far a first write at `at` goes in one piece: over the rest of a cluster that has its place, or over clusters that have none.
Image::Touch Image::plan(std::uint64_t at, std::uint64_t end) {
    const Layout& layout = mapping_.layout();
    const Entry entry = mapping_.entry(at);
    const std::uint64_t cluster = at - layout.in_cluster(at);
    Touch touch{.from = at, .until = std::min(end, cluster + layout.cluster_bytes)};
    touch.replaces = entry.is_compressed() || (entry.host() != 0 && !entry.is_copied());
    if (touch.replaces) {
        touch.low = cluster;
        touch.high = cluster + layout.cluster_bytes;
        return touch;
    }
    if (place_of(cluster) == 0) {
        const std::uint64_t table_end = (at / layout.l2_reach() + 1) * layout.l2_reach();
        const std::uint64_t limit = std::min({end, table_end, cluster + std::max(max_run_bytes, layout.cluster_bytes)});
        while (touch.until < limit && mapping_.loaded(touch.until)) {
            const Entry next = mapping_.entry(touch.until);
            if (next.is_compressed() || place_of(touch.until) != 0) break;
            touch.until = std::min(limit, touch.until + layout.cluster_bytes);
        }
    }
    // Around the ends the rest of a subcluster is copied, unless it is there already.
    const auto is_there = [&](std::uint64_t where) {
        const Entry at_end = mapping_.entry(where);
        return at_end.host() != 0 && at_end.content(layout, layout.subcluster_index(where)) == Content::data;
    };
    const std::uint64_t mask = layout.subcluster_bytes() - 1;
    touch.low = is_there(at) ? at : at & ~mask;
    touch.high = is_there(touch.until - 1) ? touch.until : (touch.until + mask) & ~mask;
    return touch;
}

// Gives the plan its place in the file, which may cut it short.
void Image::place(Touch& touch) {
    const Layout& layout = mapping_.layout();
    const std::uint64_t first = touch.low - layout.in_cluster(touch.low);
    if (const std::uint64_t host = place_of(first); !touch.replaces && host != 0) {
        touch.host = host + layout.in_cluster(touch.low);
        if (Placed* placed = placed_at(first)) ++placed->users;
        return;
    }
    touch.run = space_.allocate((touch.high - first + layout.cluster_bytes - 1) >> layout.cluster_bits);
    if (const std::uint64_t reach = first + (touch.run.count << layout.cluster_bits); touch.high > reach) touch.high = touch.until = reach;
    touch.host = (touch.run.first << layout.cluster_bits) + layout.in_cluster(touch.low);
    if (layout.subclusters == 1 || touch.replaces) return;
    // Others may write the clusters' other subclusters meanwhile.
    for (std::uint64_t i = 0; i < touch.run.count; ++i)
        placed_.push_back({.guest = first + (i << layout.cluster_bits), .host = (touch.run.first + i) << layout.cluster_bits, .users = 1});
}

// A first write has ended. A place that nothing was written to is given back.
void Image::leave_places(const Touch& touch) {
    const Layout& layout = mapping_.layout();
    if (layout.subclusters == 1 || touch.replaces) {
        if (touch.settled < touch.run.count) space_.release({touch.run.first + touch.settled, touch.run.count - touch.settled});
        return;
    }
    for (std::uint64_t cluster = touch.low - layout.in_cluster(touch.low); cluster < touch.high; cluster += layout.cluster_bytes) {
        Placed* placed = placed_at(cluster);
        if (placed == nullptr || --placed->users != 0) continue;
        if (!placed->settled) space_.release({placed->host >> layout.cluster_bits, 1});
        placed_.erase(placed_.begin() + (placed - placed_.data()));
    }
}

Task<Image::Error> Image::touch(Hold& hold, std::uint64_t begin, std::uint64_t& at, std::uint64_t end, std::span<const iovec> from) {
    if (space_is_short_ && space_is_short_->load(std::memory_order_relaxed)) co_return Error{ENOSPC, boost::system::system_category()};
    if (!space_known_) co_return co_await prepare_space(hold);
    Step step = Step::done;
    if (const Error error = co_await own_table(hold, at, step); error || step == Step::again) co_return error;
    Touch touch = plan(at, end);
    if (is_busy(touch.low, touch.high)) {
        co_await changed_.wait(hold);
        co_return Error{};
    }
    const Layout& layout = mapping_.layout();
    const std::uint64_t records = ((touch.high - 1) >> layout.cluster_bits) - (touch.low >> layout.cluster_bits) + 1;
    if (const Error error = co_await make_room(hold, records, step); error || step == Step::again) co_return error;
    place(touch);
    const Busy busy{touch.low >> layout.subcluster_bits, (touch.high - 1) >> layout.subcluster_bits};
    busy_.push_back(busy);
    reserved_records_ += records;
    const unsigned epoch = enter();
    hold.unlock();
    Error error = co_await fill(touch, begin, from);
    hold.lock();
    if (!error) error = co_await settle(hold, touch);
    leave_places(touch);
    reserved_records_ -= records;
    busy_.erase(std::ranges::find_if(busy_, [&](const Busy& b) { return b.first == busy.first && b.last == busy.last; }));
    at = touch.until;
    if (much_is_dirty()) want_checkpoint(hold);
    leave(hold, epoch);
    wake(hold);
    co_return error;
}

// Data, and around it what was there before.
Task<Image::Error> Image::fill(const Touch& touch, std::uint64_t begin, std::span<const iovec> from) {
    std::vector<std::byte> head(touch.from - touch.low), tail(touch.high - touch.until);
    std::vector<iovec> pieces = cut(from, touch.from - begin, touch.until - touch.from);
    if (!head.empty()) {
        pieces.insert(pieces.begin(), {head.data(), head.size()});
        if (const Error error = co_await read(touch.low, head.size(), std::span{pieces}.first(1))) co_return error;
    }
    if (!tail.empty()) {
        pieces.push_back({tail.data(), tail.size()});
        if (const Error error = co_await read(touch.until, tail.size(), std::span{pieces}.last(1))) co_return error;
    }
    co_return co_await Io{*file_, IoKind::write, touch.host, touch.high - touch.low, pieces};
}

// The data has its place: says so in the tables.
Task<Image::Error> Image::settle(Hold& hold, Touch& touch) {
    const Layout& layout = mapping_.layout();
    for (std::uint64_t at = touch.low; at < touch.high;) {
        const std::uint64_t cluster = at - layout.in_cluster(at);
        const std::uint64_t until = std::min(touch.high, cluster + layout.cluster_bytes);
        while (!mapping_.loaded(cluster)) {
            if (const Error error = co_await load(hold, cluster)) co_return error;
        }
        const Entry before = mapping_.entry(cluster);
        Entry entry = before;
        if (layout.subclusters == 1 || touch.replaces) {
            const std::uint64_t host = touch.host + (cluster - (touch.low - layout.in_cluster(touch.low)));
            entry.word = (host & ~(layout.cluster_bytes - 1)) | Entry::copied;
            if (touch.run.count == 0) entry.word = before.host() | Entry::copied;  // a zero cluster that kept its place
        }
        if (Placed* placed = placed_at(cluster); placed != nullptr && !touch.replaces) {
            entry.word = placed->host | Entry::copied;
            placed->settled = true;
        }
        if (layout.subclusters != 1) {
            const std::uint64_t now =
                touch.replaces ? all_subclusters : bits(layout.subcluster_index(at), layout.subcluster_index(until - 1));
            entry.bitmap = touch.replaces ? now : (before.bitmap | now) & ~(now << 32);
        }
        set(cluster, entry);
        if (touch.replaces) release(before);
        if (touch.run.count != 0) ++touch.settled;
        at = until;
    }
    co_return Error{};
}

// Sees to it that the table for `guest` is this image's own. Again: time has passed, look anew.
Task<Image::Error> Image::own_table(Hold& hold, std::uint64_t guest, Step& step) {
    if (mapping_.has_own_table(guest)) co_return Error{};
    const Layout& layout = mapping_.layout();
    const std::uint64_t old = mapping_.table_host(guest);
    std::vector<std::byte> contents;
    if (old != 0) {
        contents.resize(layout.cluster_bytes);
        const iovec piece{contents.data(), contents.size()};
        hold.unlock();
        const Error error = co_await Io{*file_, IoKind::read, old, contents.size(), {&piece, 1}};
        hold.lock();
        step = Step::again;
        if (error || mapping_.has_own_table(guest)) co_return error;
        if (const std::string fault = mapping_.fault_in_table(contents, file_bytes()); !fault.empty()) co_return damaged(guest, fault);
        space_.release({old >> layout.cluster_bits, 1});
    }
    mapping_.own_table(guest, space_.allocate(1).first << layout.cluster_bits, contents);
    co_return Error{};
}

// Zeros by the tables where whole subclusters are meant, as data elsewhere.
Task<Image::Error> Image::zero(std::uint64_t begin, std::uint64_t bytes, bool deallocate) {
    Hold hold{mutex_};
    const Layout& layout = mapping_.layout();
    const std::uint64_t end = begin + bytes, mask = layout.subcluster_bytes() - 1;
    for (std::uint64_t at = begin; at < end;) {
        if (broken_) co_return broken_;
        const Stretch stretch = mapping_.find(at, end - at);
        Error error;
        if (!stretch.loaded) {
            error = co_await load(hold, at);
        } else if (stretch.content == Content::unallocated && at >= backing_bytes_) {
            at += stretch.bytes;
        } else if (stretch.content == Content::zero) {
            at += stretch.bytes;
        } else {
            const Entry entry = mapping_.entry(at);
            const bool in_pieces = entry.is_compressed() || (entry.host() != 0 && !entry.is_copied());  // cannot be zeroed in part
            const std::uint64_t cluster_end = at - layout.in_cluster(at) + layout.cluster_bytes;
            const std::uint64_t aligned_end = std::min(cluster_end, geometry_.size_bytes == end ? cluster_end : end & ~mask);
            const bool whole_cluster = layout.in_cluster(at) == 0 && aligned_end == cluster_end;
            if (whole_cluster || (!in_pieces && (at & mask) == 0 && at + mask < aligned_end)) {
                error = co_await zero_entries(hold, at, aligned_end, deallocate);
            } else {
                const std::uint64_t until = std::min(end, in_pieces ? cluster_end : (at | mask) + 1);
                hold.unlock();
                error = co_await write_zeros(at, until - at);
                hold.lock();
                at = until;
            }
        }
        if (error) co_return error;
    }
    if (much_is_dirty()) want_checkpoint(hold);
    co_return Error{};
}

Task<Image::Error> Image::write_zeros(std::uint64_t at, std::uint64_t bytes) {
    const std::vector<iovec> pieces((bytes + zeros_bytes - 1) / zeros_bytes, zeros());
    const auto exact = cut(pieces, 0, bytes);
    co_return co_await write(at, bytes, exact);
}

// Subclusters [at, until) of one cluster, which is not compressed nor shared unless it is meant as a whole.
Task<Image::Error> Image::zero_entries(Hold& hold, std::uint64_t& at, std::uint64_t until, bool deallocate) {
    if (!space_known_) co_return co_await prepare_space(hold);
    Step step = Step::done;
    if (const Error error = co_await own_table(hold, at, step); error || step == Step::again) co_return error;
    if (is_busy(at, until)) {
        co_await changed_.wait(hold);
        co_return Error{};
    }
    if (const Error error = co_await make_room(hold, 1, step); error || step == Step::again) co_return error;
    const Layout& layout = mapping_.layout();
    const std::uint64_t cluster = at - layout.in_cluster(at);
    const Entry before = mapping_.entry(cluster);
    Entry entry = before;
    if (layout.subclusters == 1) {
        entry.word = Entry::zero | before.host() | (before.host() != 0 ? Entry::copied : 0);
    } else {
        const std::uint64_t now = bits(layout.subcluster_index(at), layout.subcluster_index(until - 1));
        entry.bitmap = (before.bitmap | now << 32) & ~now;
        if (before.is_compressed()) entry.word = 0;
    }
    // A first write elsewhere in the cluster counts on its place.
    const bool keeps_nothing = (entry.bitmap & all_subclusters) == 0 && !is_busy(cluster, cluster + layout.cluster_bytes);
    const bool in_place = before.host() != 0 && before.is_copied();
    if (keeps_nothing && (deallocate || !in_place)) {
        entry.word = layout.subclusters == 1 ? Entry::zero : 0;
        release(before);
    } else if (deallocate && in_place) {
        punches_.push_back({.guest = cluster, .host = before.host()});
    }
    set(cluster, entry);
    at = until;
    co_return Error{};
}

}  // namespace diskless::storage::qcow2
