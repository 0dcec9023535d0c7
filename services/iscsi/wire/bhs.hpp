// The Basic Header Segment: the 48 bytes every PDU begins with, and the words that appear in it (RFC 7143 11.2).
// Owns the constants; the fields of each PDU type are in requests.hpp and responses.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/bytes.hpp"

namespace diskless::iscsi::wire {

inline constexpr std::size_t bhs_bytes = 48;
using Bhs = std::array<std::byte, bhs_bytes>;

/// RFC 7143 11.2.1.2. Initiator opcodes below 0x20, target opcodes from there.
enum class Opcode : std::uint8_t {
    nop_out = 0x00,
    scsi_command = 0x01,
    task_management_request = 0x02,
    login_request = 0x03,
    text_request = 0x04,
    data_out = 0x05,
    logout_request = 0x06,
    snack_request = 0x10,
    nop_in = 0x20,
    scsi_response = 0x21,
    task_management_response = 0x22,
    login_response = 0x23,
    text_response = 0x24,
    data_in = 0x25,
    logout_response = 0x26,
    r2t = 0x31,
    async_message = 0x32,
    reject = 0x3f,
};

/// "No tag": Initiator or Target Transfer Tag that names nothing.
inline constexpr std::uint32_t reserved_tag = 0xffffffff;

[[nodiscard]] inline std::uint8_t u8_at(ByteSpan bytes, std::size_t at) noexcept { return std::to_integer<std::uint8_t>(bytes[at]); }

// Common to all PDUs. `bhs` has at least 48 bytes.
[[nodiscard]] inline Opcode opcode_of(ByteSpan bhs) noexcept { return static_cast<Opcode>(u8_at(bhs, 0) & 0x3f); }
[[nodiscard]] inline bool is_immediate(ByteSpan bhs) noexcept { return (u8_at(bhs, 0) & 0x40) != 0; }
[[nodiscard]] inline bool is_final(ByteSpan bhs) noexcept { return (u8_at(bhs, 1) & 0x80) != 0; }
[[nodiscard]] inline std::size_t ahs_bytes_of(ByteSpan bhs) noexcept { return std::size_t{u8_at(bhs, 4)} * 4; }
[[nodiscard]] inline std::uint32_t data_segment_length_of(ByteSpan bhs) noexcept { return load_be24(bhs, 5); }
[[nodiscard]] inline std::uint32_t initiator_task_tag_of(ByteSpan bhs) noexcept { return load_be<std::uint32_t>(bhs, 16); }
inline void set_data_segment_length(MutableByteSpan bhs, std::size_t length) noexcept {
    store_be24(bhs, 5, static_cast<std::uint32_t>(length));
}

/// Segments are padded to four bytes (RFC 7143 11.1).
[[nodiscard]] constexpr std::size_t padding_of(std::size_t length) noexcept { return (4 - length % 4) % 4; }

/// The eight-byte LUN field (SAM-5 4.7): single-level addressing only, as peripheral device or flat space. Nothing: a form we do not have.
[[nodiscard]] std::optional<std::uint16_t> flat_lun(std::uint64_t field) noexcept;
[[nodiscard]] std::uint64_t lun_field(std::uint16_t lun) noexcept;

/// Status-Class and Status-Detail of a Login Response, as one number (RFC 7143 11.13.5).
enum class LoginStatus : std::uint16_t {
    success = 0x0000,
    target_moved_temporarily = 0x0101,
    target_moved_permanently = 0x0102,
    initiator_error = 0x0200,
    authentication_failure = 0x0201,
    authorization_failure = 0x0202,
    target_not_found = 0x0203,
    target_removed = 0x0204,
    unsupported_version = 0x0205,
    too_many_connections = 0x0206,
    missing_parameter = 0x0207,
    cannot_include_in_session = 0x0208,
    session_type_not_supported = 0x0209,
    session_does_not_exist = 0x020a,
    invalid_during_login = 0x020b,
    target_error = 0x0300,
    service_unavailable = 0x0301,
    out_of_resources = 0x0302,
};

/// CSG and NSG (RFC 7143 11.12.3).
enum class Stage : std::uint8_t {
    security_negotiation = 0,
    login_operational_negotiation = 1,
    reserved = 2,
    full_feature_phase = 3,
};

/// RFC 7143 11.5.1.
enum class TaskFunction : std::uint8_t {
    abort_task = 1,
    abort_task_set = 2,
    clear_aca = 3,
    clear_task_set = 4,
    logical_unit_reset = 5,
    target_warm_reset = 6,
    target_cold_reset = 7,
    task_reassign = 8,
};

/// RFC 7143 11.6.1.
enum class TaskFunctionResponse : std::uint8_t {
    function_complete = 0,
    task_does_not_exist = 1,
    lun_does_not_exist = 2,
    task_still_allegiant = 3,
    reassignment_not_supported = 4,
    function_not_supported = 5,
    authorization_failed = 6,
    function_rejected = 255,
};

/// RFC 7143 11.14.1 and 11.15.1.
enum class LogoutReason : std::uint8_t { close_session = 0, close_connection = 1, remove_for_recovery = 2 };
enum class LogoutResponseCode : std::uint8_t { success = 0, cid_not_found = 1, recovery_not_supported = 2, cleanup_failed = 3 };

/// RFC 7143 11.17.1.
enum class RejectReason : std::uint8_t {
    data_digest_error = 0x02,
    snack_reject = 0x03,
    protocol_error = 0x04,
    command_not_supported = 0x05,
    immediate_command_reject = 0x06,
    task_in_progress = 0x07,
    invalid_data_ack = 0x08,
    invalid_pdu_field = 0x09,
    long_operation_reject = 0x0a,
    waiting_for_logout = 0x0c,
};

/// RFC 7143 11.9.1.
enum class AsyncEvent : std::uint8_t {
    scsi_event = 0,
    logout_request = 1,
    connection_drop = 2,
    session_drop = 3,
    parameter_negotiation = 4,
};

/// Additional header segments (RFC 7143 11.2.2).
enum class AhsType : std::uint8_t { extended_cdb = 1, bidirectional_read_length = 2 };

}  // namespace diskless::iscsi::wire
