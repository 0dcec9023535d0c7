#include "services/iscsi/scsi/sanitizer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "services/iscsi/scsi/block_commands.hpp"

namespace diskless::scsi {
namespace {

constexpr std::uint64_t overwrite_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t erase_bytes = std::uint64_t{64} << 20;  // or a rest's share, if that is less
constexpr std::uint64_t progress_whole = 65536;
/// In one pass over the unit.
constexpr std::uint64_t rests = 64;
constexpr std::chrono::milliseconds rest_time{150};

}  // namespace

Sanitizer::Sanitizer(std::shared_ptr<LogicalUnit> unit, Method method, std::vector<std::byte> pattern, unsigned passes, bool invert)
    : unit_{std::move(unit)}, method_{method}, passes_{passes}, invert_{invert} {
    if (method_ != Method::overwrite) return;
    piece_.resize(overwrite_bytes);
    for (std::size_t at = 0; at < piece_.size(); at += pattern.size())
        std::memcpy(piece_.data() + at, pattern.data(), std::min(pattern.size(), piece_.size() - at));
}

storage::Started Sanitizer::run(std::shared_ptr<LogicalUnit> unit, Method method, std::vector<std::byte> pattern, unsigned passes,
                                bool invert, Command* waiting) {
    auto job = std::unique_ptr<Sanitizer>{new Sanitizer{std::move(unit), method, std::move(pattern), passes, invert}};
    LogicalUnit& of = *job->unit_;
    of.sanitized_ = 0;
    {
        const std::lock_guard lock{of.mutex_};
        of.waits_for_sanitizer_ = waiting;
    }
    Sanitizer& here = *job.release();  // takes itself back at its end, perhaps before go_on() returns
    if (!here.go_on()) return storage::Started::pending;
    here.finish(false);
    return storage::Started::completed;
}

bool Sanitizer::go_on() noexcept {
    while (!advance()) {
        if (unit_->device_->start(*this) == storage::Started::pending) return false;
        if (rest()) return false;
    }
    return true;
}

void Sanitizer::completed() noexcept {
    if (rest()) return;
    if (go_on()) finish(true);
}

/// True: it rests, and goes on by itself.
bool Sanitizer::rest() {
    const std::uint64_t whole = unit_->geometry().size_bytes;
    if (!unit_->rest_ || error || done_bytes_ - rested_at_ < whole / rests || done_bytes_ == whole) return false;
    rested_at_ = done_bytes_;
    unit_->rest_(rest_time, [this] {
        if (go_on()) finish(true);
    });
    return true;
}

void Sanitizer::finish(bool tell) noexcept {
    const std::unique_ptr<Sanitizer> self{this};
    Command* waiting = nullptr;
    {
        const std::lock_guard lock{unit_->mutex_};
        waiting = std::exchange(unit_->waits_for_sanitizer_, nullptr);
    }
    unit_->sanitized_ = LogicalUnit::not_sanitizing;
    if (waiting == nullptr) return;
    if (error) fail_by_device(*waiting, *this);
    if (tell) waiting->finished();
}

bool Sanitizer::advance() noexcept {
    if (error || flushed_) return true;
    const std::uint64_t whole = unit_->geometry().size_bytes;
    if (done_bytes_ == whole && ++pass_ < passes_) {
        done_bytes_ = rested_at_ = 0;
        if (invert_) std::ranges::transform(piece_, piece_.begin(), [](std::byte b) { return ~b; });
    }
    buffers = {};
    force_unit_access = false;
    if (done_bytes_ == whole) {
        kind = storage::IoKind::flush;
        offset_bytes = length_bytes = 0;
        flushed_ = true;
        return false;
    }
    offset_bytes = done_bytes_;
    if (method_ == Method::overwrite) {
        kind = storage::IoKind::write;
        length_bytes = std::min(overwrite_bytes, whole - done_bytes_);
        buffer_ = {piece_.data(), length_bytes};
        buffers = std::span{&buffer_, 1};
    } else {
        kind = storage::IoKind::write_zeroes;
        may_discard = true;
        length_bytes = std::min({erase_bytes, whole / rests / overwrite_bytes * overwrite_bytes + overwrite_bytes, whole - done_bytes_});
    }
    unit_->sanitized_ = static_cast<std::uint32_t>((pass_ * whole + done_bytes_) / (whole / progress_whole + 1) / passes_);
    done_bytes_ += length_bytes;
    return false;
}

}  // namespace diskless::scsi
