#include "services/iscsi/data_transfer.hpp"

namespace diskless::iscsi {

WriteTransfer::WriteTransfer(const Parameters& parameters, std::uint32_t expected, std::uint32_t wanted, std::uint32_t immediate_bytes,
                             bool unsolicited_follows) noexcept
    : wanted_{wanted},
      first_burst_{std::min(parameters.first_burst_length, expected)},
      max_burst_{parameters.max_burst_length},
      max_r2t_{std::min<std::uint32_t>(parameters.max_outstanding_r2t, max_outstanding)},
      asked_{immediate_bytes},
      unsolicited_open_{unsolicited_follows} {}

bool WriteTransfer::allowed(const Parameters& parameters, std::uint32_t expected, std::uint32_t immediate_bytes,
                            bool unsolicited_follows) noexcept {
    if (immediate_bytes != 0 && !parameters.immediate_data) return false;
    if (immediate_bytes > expected || immediate_bytes > parameters.first_burst_length) return false;
    return !unsolicited_follows || !parameters.initial_r2t;
}

std::optional<WriteTransfer::Burst> WriteTransfer::next_r2t() noexcept {
    if (!r2t_due()) return std::nullopt;
    const Burst burst{.r2t_sn = next_r2t_sn_++, .offset = asked_, .length = std::min(max_burst_, wanted_ - asked_)};
    asked_ += burst.length;
    open_[(first_open_ + outstanding_) % max_outstanding] = Open{.burst = burst};
    ++outstanding_;
    return burst;
}

WriteTransfer::Verdict WriteTransfer::receive_unsolicited(const wire::DataOut& header, std::uint32_t length) noexcept {
    if (!unsolicited_open_ || header.data_sn != unsolicited_sn_ || header.buffer_offset != asked_ ||
        length > first_burst_ - std::min(asked_, first_burst_)) {
        return Verdict::wrong;
    }
    ++unsolicited_sn_;
    asked_ += length;
    unsolicited_open_ = !header.final;
    return Verdict::accept;
}

WriteTransfer::Verdict WriteTransfer::receive(const wire::DataOut& header, std::uint32_t length,
                                              std::optional<std::uint32_t> r2t_sn) noexcept {
    if (!r2t_sn) return receive_unsolicited(header, length);
    if (outstanding_ == 0) return Verdict::wrong;
    Open& open = open_[first_open_];
    if (*r2t_sn != open.burst.r2t_sn || header.data_sn != open.next_data_sn || header.buffer_offset != open.burst.offset + open.received)
        return Verdict::wrong;
    if (length > open.burst.length - open.received) return Verdict::wrong;
    open.received += length;
    ++open.next_data_sn;
    // F ends the burst: exactly when everything asked for is there (RFC 7143 11.7.1).
    if (header.final != (open.received == open.burst.length)) return Verdict::wrong;
    if (header.final) {
        first_open_ = (first_open_ + 1) % max_outstanding;
        --outstanding_;
    }
    return Verdict::accept;
}

ReadTransfer::Segment ReadTransfer::next() noexcept {
    const std::uint32_t length = std::min({max_segment_, length_ - offset_, max_burst_ - in_burst_});
    Segment segment{.data_sn = data_sn_++, .offset = offset_, .length = length};
    offset_ += length;
    in_burst_ += length;
    segment.last = offset_ == length_;
    segment.final = segment.last || in_burst_ == max_burst_;
    if (segment.final) in_burst_ = 0;
    return segment;
}

}  // namespace diskless::iscsi
