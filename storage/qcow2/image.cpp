#include "storage/qcow2/image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "common/log.hpp"
#include "storage/pieces.hpp"
#include "storage/qcow2/compression.hpp"

namespace diskless::storage::qcow2 {
namespace {

Image::Error system_error(int code) noexcept { return {code, boost::system::system_category()}; }

bool changes_something(IoKind kind) noexcept { return kind == IoKind::write || kind == IoKind::write_zeroes || kind == IoKind::discard; }

}  // namespace

Started Image::start(IoRequest& request) noexcept {
    request.error.clear();
    if (geometry_.read_only && changes_something(request.kind)) {
        request.error = system_error(EROFS);
        return Started::completed;
    }
    Started started{};
    if (start_short(request, started)) return started;
    {
        const std::lock_guard lock{mutex_};
        ++running_;
    }
    run(request);
    return Started::pending;
}

// What one look at the tables answers. False: it takes more.
bool Image::start_short(IoRequest& request, Started& started) noexcept {
    const bool writes = request.kind == IoKind::write;
    if (request.kind != IoKind::read && !writes && request.kind != IoKind::flush) return false;
    std::unique_lock lock{mutex_};
    if (request.kind == IoKind::flush || request.force_unit_access) {
        if (!metadata_clean() || broken_) return false;
        if (request.kind == IoKind::flush) {
            lock.unlock();
            started = file_->start(request);
            return true;
        }
    }
    const Stretch stretch = mapping_.find(request.offset_bytes, request.length_bytes);
    if (!stretch.loaded || stretch.bytes < request.length_bytes || stretch.content == Content::compressed) return false;
    if (stretch.content == Content::data) {
        if (writes && (!stretch.in_place || broken_)) return false;
        Child& child = child_of(request, stretch.host);
        lock.unlock();
        started = file_->start(child);
        if (started == Started::pending) return true;
        request.error = child.error;
        Hold hold{mutex_};
        idle_children_.push_back(&child);
        leave(hold, child.epoch);
        return true;
    }
    if (writes) return false;
    if (stretch.content == Content::unallocated && request.offset_bytes < backing_bytes_) {
        if (request.offset_bytes + request.length_bytes > backing_bytes_) return false;
        lock.unlock();
        started = backing_->start(request);
        return true;
    }
    lock.unlock();
    fill_with_zeros(request.buffers);
    started = Started::completed;
    return true;
}

Image::Child& Image::child_of(IoRequest& request, std::uint64_t host) {
    if (idle_children_.empty()) {
        children_.push_back(std::make_unique<Child>(*this));
        idle_children_.reserve(children_.size());
        idle_children_.push_back(children_.back().get());
    }
    Child& child = *idle_children_.back();
    idle_children_.pop_back();
    child.kind = request.kind;
    child.force_unit_access = request.force_unit_access;
    child.offset_bytes = host;
    child.length_bytes = request.length_bytes;
    child.buffers = request.buffers;
    child.parent = &request;
    child.epoch = enter();
    return child;
}

void Image::child_completed(Child& child) noexcept {
    IoRequest& parent = *child.parent;
    parent.error = child.error;
    {
        Hold hold{mutex_};
        idle_children_.push_back(&child);
        leave(hold, child.epoch);
    }
    parent.completed();
}

void Image::leave(Hold& hold, unsigned epoch) {
    if (--in_flight_[epoch] != 0) return;
    idle_.notify_all();
    if (epoch != epoch_) wake(hold);
}

void Image::wake(Hold& hold) {
    if (changed_.empty()) return;
    auto ready = changed_.take();
    hold.unlock();
    resume_all(std::move(ready));
    hold.lock();
}

Job Image::run(IoRequest& request) {
    Error error;
    switch (request.kind) {
        case IoKind::read: error = co_await read(request.offset_bytes, request.length_bytes, request.buffers); break;
        case IoKind::write: error = co_await write(request.offset_bytes, request.length_bytes, request.buffers); break;
        case IoKind::write_zeroes:
            error = co_await zero(request.offset_bytes, request.length_bytes, request.may_discard && geometry_.can_discard);
            break;
        case IoKind::discard: error = co_await zero(request.offset_bytes, request.length_bytes, geometry_.can_discard); break;
        case IoKind::allocation: error = co_await find_extents(request); break;
        case IoKind::flush: error = co_await flush(); break;
    }
    if (!error && request.force_unit_access && changes_something(request.kind)) error = co_await flush();
    request.error = error;
    {
        const std::lock_guard lock{mutex_};
        if (--running_ == 0) idle_.notify_all();
    }
    request.completed();
}

Image::Error Image::damaged(std::uint64_t at, std::string_view fault) const {
    log::error("disk.damaged", "disk={} at={} fault=\"{}\"", name(), at, fault);
    return system_error(EIO);
}

std::uint64_t Image::file_bytes() const noexcept {
    return std::max(file_->geometry().size_bytes, space_.end() << mapping_.layout().cluster_bits);
}

Task<Image::Error> Image::load(Hold& hold, std::uint64_t guest) {
    const Mapping::Place place = mapping_.slice_place(guest);
    if (std::ranges::find(loading_, place.offset) != loading_.end()) {
        co_await changed_.wait(hold);
        co_return Error{};  // the caller looks again
    }
    loading_.push_back(place.offset);
    const std::uint64_t known_bytes = file_bytes();
    hold.unlock();
    std::vector<std::byte> bytes(place.bytes);
    const iovec piece{bytes.data(), bytes.size()};
    Error error = co_await Io{*file_, IoKind::read, place.offset, place.bytes, {&piece, 1}};
    hold.lock();
    std::erase(loading_, place.offset);
    if (!error) {
        if (const std::string fault = mapping_.load(guest, bytes, known_bytes); !fault.empty()) error = damaged(guest, fault);
    }
    wake(hold);
    co_return error;
}

Task<Image::Error> Image::read(std::uint64_t begin, std::uint64_t bytes, std::span<const iovec> into) {
    Hold hold{mutex_};
    for (std::uint64_t at = begin; at < begin + bytes;) {
        const Stretch stretch = mapping_.find(at, begin + bytes - at);
        if (!stretch.loaded) {
            if (const Error error = co_await load(hold, at)) co_return error;
            continue;
        }
        const Entry entry = mapping_.entry(at);
        const unsigned epoch = enter();
        hold.unlock();
        const auto pieces = cut(into, at - begin, stretch.bytes);
        Error error;
        switch (stretch.content) {
            case Content::zero: fill_with_zeros(pieces); break;
            case Content::unallocated: error = co_await read_backing(at, stretch.bytes, pieces); break;
            case Content::data: error = co_await Io{*file_, IoKind::read, stretch.host, stretch.bytes, pieces}; break;
            case Content::compressed: error = co_await read_compressed(entry, at, stretch.bytes, pieces); break;
        }
        hold.lock();
        leave(hold, epoch);
        if (error) co_return error;
        at += stretch.bytes;
    }
    co_return Error{};
}

Task<Image::Error> Image::read_backing(std::uint64_t at, std::uint64_t bytes, std::span<const iovec> into) {
    const std::uint64_t covered = at < backing_bytes_ ? std::min(bytes, backing_bytes_ - at) : 0;
    if (covered < bytes) fill_with_zeros(cut(into, covered, bytes - covered));
    if (covered == 0) co_return Error{};
    const auto pieces = cut(into, 0, covered);
    co_return co_await Io{*backing_, IoKind::read, at, covered, pieces};
}

Task<Image::Error> Image::read_compressed(Entry entry, std::uint64_t at, std::uint64_t bytes, std::span<const iovec> into) {
    const Layout& layout = mapping_.layout();
    std::shared_ptr<const std::vector<std::byte>> cluster;
    {
        const std::lock_guard lock{mutex_};
        if (last_unpacked_.word == entry.word) cluster = last_unpacked_.bytes;
    }
    if (!cluster) {
        const CompressedPlace place = compressed_place(entry, layout);
        std::vector<std::byte> packed(std::min(place.bytes, std::max(file_->geometry().size_bytes, place.offset + 1) - place.offset));
        const iovec piece{packed.data(), packed.size()};
        if (const Error error = co_await Io{*file_, IoKind::read, place.offset, packed.size(), {&piece, 1}}) co_return error;
        auto unpacked = std::make_shared<std::vector<std::byte>>(layout.cluster_bytes);
        if (!decompress(header_.compression, packed, *unpacked)) co_return damaged(at, "a compressed cluster cannot be read");
        cluster = std::move(unpacked);
        const std::lock_guard lock{mutex_};
        last_unpacked_ = {entry.word, cluster};
    }
    copy_into(into, ByteSpan{*cluster}.subspan(layout.in_cluster(at), bytes));
    co_return Error{};
}

// A part that the backing device covers is told as taking space: it is not known to be zero.
Task<Image::Error> Image::find_extents(IoRequest& request) {
    request.extent_count = 0;
    Hold hold{mutex_};
    const std::uint64_t end = request.offset_bytes + request.length_bytes;
    for (std::uint64_t at = request.offset_bytes; at < end;) {
        Stretch stretch = mapping_.find(at, end - at);
        if (!stretch.loaded) {
            if (const Error error = co_await load(hold, at)) co_return error;
            continue;
        }
        bool allocated = stretch.content == Content::data || stretch.content == Content::compressed;
        if (stretch.content == Content::unallocated && at < backing_bytes_) {
            allocated = true;
            stretch.bytes = std::min(stretch.bytes, backing_bytes_ - at);
        }
        const bool goes_on = request.extent_count > 0 && request.extents[request.extent_count - 1].allocated == allocated;
        if (goes_on) {
            request.extents[request.extent_count - 1].length_bytes += stretch.bytes;
        } else if (request.extent_count == request.extents.size()) {
            break;
        } else {
            request.extents[request.extent_count++] = {at, stretch.bytes, allocated};
        }
        at += stretch.bytes;
    }
    co_return Error{};
}

void Image::quiesce() {
    std::unique_lock lock{mutex_};
    idle_.wait(lock, [this] { return running_ == 0 && in_flight_[0] + in_flight_[1] == 0 && !checkpointing_; });
}

bool Image::pristine() const {
    const std::lock_guard lock{mutex_};
    return std::ranges::all_of(mapping_.l1(), [](std::uint64_t entry) { return entry == 0; });
}

Image::Usage Image::usage() const {
    const std::lock_guard lock{mutex_};
    const unsigned bits = mapping_.layout().cluster_bits;
    return {.cached_bytes = mapping_.memory_bytes(), .end_bytes = space_.end() << bits, .free_bytes = space_.free_clusters() << bits};
}

}  // namespace diskless::storage::qcow2
