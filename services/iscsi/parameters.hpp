// What one session and its connection have agreed on (RFC 7143 13). Before negotiation: the standard's defaults.
#pragma once

#include <cstdint>
#include <string>

#include "services/iscsi/wire/pdu.hpp"

namespace diskless::iscsi {

enum class SessionType : std::uint8_t { normal, discovery };

struct Parameters {
    wire::Digests digests;
    std::uint32_t initiator_max_recv_data_segment_length = 8192;  ///< what we may send in one PDU
    std::uint32_t target_max_recv_data_segment_length = 8192;     ///< what we have declared
    std::uint32_t max_burst_length = 262144;
    std::uint32_t first_burst_length = 65536;
    std::uint16_t max_outstanding_r2t = 1;
    bool initial_r2t = true;
    bool immediate_data = true;
    bool data_pdu_in_order = true;
    bool data_sequence_in_order = true;
    std::uint8_t error_recovery_level = 0;
    std::uint16_t default_time2wait_s = 2;
    std::uint16_t default_time2retain_s = 20;

    friend bool operator==(const Parameters&, const Parameters&) = default;
};

/// The most we agree to.
struct Limits {
    std::uint32_t max_recv_data_segment_length = 262144;
    std::uint32_t max_burst_length = 1u << 20;
    std::uint32_t first_burst_length = 262144;
    std::uint16_t max_outstanding_r2t = 4;
    std::uint32_t queue_depth = 128;                     ///< the command window
    std::size_t max_text_bytes = std::size_t{32} << 10;  ///< text collected over C-bit requests
    friend bool operator==(const Limits&, const Limits&) = default;
};

inline constexpr std::uint16_t target_portal_group_tag = 1;

}  // namespace diskless::iscsi
