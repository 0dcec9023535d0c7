// The data of one command on its way: which Data-Out is expected next and which R2T to send (WriteTransfer), how Data-In is cut
// (ReadTransfer). RFC 7143 4.2.5.2, 11.7, 11.8. Pure bookkeeping: offsets and counters, no bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "services/iscsi/parameters.hpp"
#include "services/iscsi/wire/requests.hpp"

namespace diskless::iscsi {

/// The data-out of one command. Ordered delivery was negotiated (DataPDUInOrder, DataSequenceInOrder), so bursts arrive one after another.
class WriteTransfer {
 public:
    /// What R2Ts may be outstanding at once, whatever was negotiated.
    static constexpr std::size_t max_outstanding = 8;

    WriteTransfer() = default;
    /// `expected`: the initiator's Expected Data Transfer Length. `wanted`: what the command takes of it; more is never asked for.
    /// `unsolicited_follows`: the command had F=0.
    WriteTransfer(const Parameters& parameters, std::uint32_t expected, std::uint32_t wanted, std::uint32_t immediate_bytes,
                  bool unsolicited_follows) noexcept;

    /// Whether a command may come like this at all (RFC 7143 11.3.4: first burst, ImmediateData, InitialR2T).
    [[nodiscard]] static bool allowed(const Parameters& parameters, std::uint32_t expected, std::uint32_t immediate_bytes,
                                      bool unsolicited_follows) noexcept;

    struct Burst {
        std::uint32_t r2t_sn = 0;
        std::uint32_t offset = 0;
        std::uint32_t length = 0;
    };
    /// Whether an R2T is to be sent now. The first one starts after the unsolicited data, so it waits for their end.
    [[nodiscard]] bool r2t_due() const noexcept { return !unsolicited_open_ && asked_ < wanted_ && outstanding_ < max_r2t_; }
    /// The next R2T to send, if one is due.
    [[nodiscard]] std::optional<Burst> next_r2t() noexcept;

    enum class Verdict : std::uint8_t {
        accept,
        wrong,  ///< DataSN, offset, length or F is not what it must be: the data is dropped and the command never ends well
    };
    /// A Data-Out's header; `r2t_sn`: which R2T it answers, nothing for unsolicited data.
    [[nodiscard]] Verdict receive(const wire::DataOut& header, std::uint32_t length, std::optional<std::uint32_t> r2t_sn) noexcept;

    /// All that is wanted is here, and no burst is under way.
    [[nodiscard]] bool complete() const noexcept { return !unsolicited_open_ && outstanding_ == 0 && asked_ >= wanted_; }
    [[nodiscard]] std::uint32_t r2t_count() const noexcept { return next_r2t_sn_; }

 private:
    struct Open {
        Burst burst;
        std::uint32_t received = 0;
        std::uint32_t next_data_sn = 0;
    };
    [[nodiscard]] Verdict receive_unsolicited(const wire::DataOut& header, std::uint32_t length) noexcept;

    std::uint32_t wanted_ = 0;
    std::uint32_t first_burst_ = 0;  // bytes that may come unsolicited, immediate data included
    std::uint32_t max_burst_ = 0;
    std::uint32_t max_r2t_ = 1;
    std::uint32_t asked_ = 0;  // everything before this offset has come or been asked for
    std::uint32_t unsolicited_sn_ = 0;
    bool unsolicited_open_ = false;
    std::uint32_t next_r2t_sn_ = 0;
    std::array<Open, max_outstanding> open_{};
    std::uint32_t first_open_ = 0;
    std::uint32_t outstanding_ = 0;
};

/// The data-in of one command, cut at the peer's MaxRecvDataSegmentLength; F ends a sequence of at most MaxBurstLength.
class ReadTransfer {
 public:
    ReadTransfer() = default;
    ReadTransfer(const Parameters& parameters, std::uint32_t length) noexcept
        : length_{length}, max_segment_{parameters.initiator_max_recv_data_segment_length}, max_burst_{parameters.max_burst_length} {}

    struct Segment {
        std::uint32_t data_sn = 0;
        std::uint32_t offset = 0;
        std::uint32_t length = 0;
        bool final = false;  ///< of its sequence
        bool last = false;   ///< of the command
    };
    [[nodiscard]] bool done() const noexcept { return offset_ >= length_; }
    /// The next piece; only while !done().
    [[nodiscard]] Segment next() noexcept;
    [[nodiscard]] std::uint32_t segment_count() const noexcept { return data_sn_; }

 private:
    std::uint32_t length_ = 0;
    std::uint32_t max_segment_ = 8192;
    std::uint32_t max_burst_ = 262144;
    std::uint32_t offset_ = 0;
    std::uint32_t in_burst_ = 0;
    std::uint32_t data_sn_ = 0;
};

}  // namespace diskless::iscsi
