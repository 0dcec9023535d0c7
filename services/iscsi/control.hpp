// Session::Control, a PDU that is neither data nor status; and the additional sense codes iSCSI itself reports (RFC 7143 11.4.7.2).
// Private to the session's source files.
#pragma once

#include <cstdint>
#include <vector>

#include "services/iscsi/session.hpp"

namespace diskless::iscsi {

struct Session::Control final : Outgoing {
    Control() noexcept : Outgoing{Kind::control} {}

    wire::Bhs bhs{};  ///< complete but for the sequence numbers
    std::vector<std::byte> data;
    bool takes_stat_sn = true;
};

inline constexpr std::uint16_t sense_unexpected_unsolicited_data = 0x0c0c;
inline constexpr std::uint16_t sense_incorrect_amount_of_data = 0x0c0d;
inline constexpr std::uint16_t sense_protocol_service_crc_error = 0x4705;

}  // namespace diskless::iscsi
