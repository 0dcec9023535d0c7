#include "services/tftp/transfer.hpp"

#include <algorithm>

namespace diskless::tftp {

using Kind = Transfer::Action::Kind;

Transfer::Transfer(std::uint64_t size_bytes, const wire::Options& asked, const TransferLimits& limits) noexcept
    : size_bytes_{size_bytes}, timeout_{limits.retransmit}, max_retransmits_{limits.max_retransmits} {
    if (asked.blksize) agreed_.blksize = blksize_ = std::min(*asked.blksize, limits.max_blksize);
    if (asked.windowsize) agreed_.windowsize = windowsize_ = std::min(*asked.windowsize, limits.max_windowsize);
    if (asked.tsize) agreed_.tsize = size_bytes;
    if (asked.timeout_s && std::chrono::seconds{*asked.timeout_s} <= limits.max_timeout) {
        agreed_.timeout_s = asked.timeout_s;  // RFC 2349: accepted as it is, or not at all
        timeout_ = std::chrono::seconds{*asked.timeout_s};
    }
}

std::size_t Transfer::length_of(std::uint64_t block) const noexcept {
    return static_cast<std::size_t>(std::min<std::uint64_t>(blksize_, size_bytes_ - std::min(size_bytes_, offset_of(block))));
}

Transfer::Action Transfer::send_window() noexcept {
    const std::uint64_t last = std::min(acked_ + windowsize_, last_block());
    if (sent_ > acked_) resent_ = std::max(resent_, std::min(sent_, last));
    sent_ = std::max(sent_, last);
    return {Kind::send_blocks, acked_ + 1, last - acked_};
}

Transfer::Action Transfer::extend_window() noexcept {
    const std::uint64_t first = sent_ + 1;
    sent_ = std::max(sent_, std::min(acked_ + windowsize_, last_block()));
    return first > sent_ ? Action{Kind::wait} : Action{Kind::send_blocks, first, sent_ - first + 1};
}

Transfer::Action Transfer::start() noexcept {
    awaits_oack_ = agreed_.any();
    return awaits_oack_ ? Action{Kind::send_oack} : send_window();
}

// 16 bits tell which block is meant, for no window reaches 65536 blocks: the nearest one from the last acknowledged on.
Transfer::Action Transfer::on_ack(std::uint16_t wire_block) noexcept {
    if (awaits_oack_) {
        if (wire_block != 0) return {Kind::wait};
        awaits_oack_ = false;
        retransmits_ = 0;
        return send_window();
    }
    const std::uint64_t block = acked_ + static_cast<std::uint16_t>(wire_block - on_wire(acked_));
    if (block > sent_) return {Kind::wait};  // of the past, or of nothing we sent
    const bool progress = block > acked_;
    if (progress) retransmits_ = 0;
    acked_ = block;
    if (acked_ == last_block()) return {Kind::done};
    // The Sorcerer's Apprentice (RFC 1123 4.2.3.1): a duplicate ACK never resends a single block.
    if (!progress && windowsize_ == 1) return {Kind::wait};
    // In a window, an ACK of anything but its end says that the next block was lost (RFC 7440 4). But blocks that we sent twice are
    // acknowledged twice, at any place: taken for losses, those ACKs would have every window from there on sent twice. What is lost again
    // among them waits for the timeout.
    if (acked_ < resent_) return progress ? extend_window() : Action{Kind::wait};
    if (!progress && acked_ == resent_ && resent_ != 0) return {Kind::wait};
    return send_window();
}

Transfer::Action Transfer::on_timeout() noexcept {
    if (retransmits_++ >= max_retransmits_) return {Kind::give_up};
    return awaits_oack_ ? Action{Kind::send_oack} : send_window();
}

}  // namespace diskless::tftp
