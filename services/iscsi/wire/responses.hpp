// What a target sends, field by field (RFC 7143 11.4, 11.6-11.9, 11.11, 11.13, 11.15, 11.17, 11.19). decode() serves tests and tools.
#pragma once

#include <array>
#include <cstdint>

#include "services/iscsi/wire/bhs.hpp"
#include "services/iscsi/wire/requests.hpp"

namespace diskless::iscsi::wire {

/// The three counters at bytes 24-35 of nearly every response. The session fills them in when the PDU leaves.
struct SequenceNumbers {
    std::uint32_t stat_sn = 0;
    std::uint32_t exp_cmd_sn = 0;
    std::uint32_t max_cmd_sn = 0;

    [[nodiscard]] static SequenceNumbers decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const SequenceNumbers&, const SequenceNumbers&) = default;
};

struct LoginResponse {
    bool transit = false;
    bool continues = false;
    Stage current_stage = Stage::security_negotiation;
    Stage next_stage = Stage::security_negotiation;
    std::uint8_t version_max = 0, version_active = 0;
    Isid isid;
    std::uint16_t tsih = 0;
    std::uint32_t initiator_task_tag = 0;
    SequenceNumbers numbers;
    LoginStatus status = LoginStatus::success;

    [[nodiscard]] static LoginResponse decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const LoginResponse&, const LoginResponse&) = default;
};

/// Residuals as in SCSI Response and the Data-In that carries status (RFC 7143 11.4.5.1).
struct Residual {
    bool overflow = false, underflow = false;
    std::uint32_t count = 0;
    friend bool operator==(const Residual&, const Residual&) = default;
};

struct ScsiResponse {
    Residual residual;
    std::uint8_t response = 0;  ///< 0 completed at target, 1 target failure
    std::uint8_t status = 0;
    std::uint32_t initiator_task_tag = 0;
    SequenceNumbers numbers;
    std::uint32_t exp_data_sn = 0;  ///< how many Data-In and R2T PDUs this command had

    [[nodiscard]] static ScsiResponse decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const ScsiResponse&, const ScsiResponse&) = default;
};

struct DataIn {
    bool final = false;
    bool has_status = false;  ///< S: this PDU carries the command's status; no SCSI Response follows
    Residual residual;
    std::uint8_t status = 0;
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t target_transfer_tag = reserved_tag;
    SequenceNumbers numbers;  ///< stat_sn is meaningful with has_status, zero otherwise
    std::uint32_t data_sn = 0;
    std::uint32_t buffer_offset = 0;

    [[nodiscard]] static DataIn decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const DataIn&, const DataIn&) = default;
};

struct R2t {
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t target_transfer_tag = 0;
    SequenceNumbers numbers;  ///< stat_sn: the next one, not advanced
    std::uint32_t r2t_sn = 0;
    std::uint32_t buffer_offset = 0;
    std::uint32_t desired_data_transfer_length = 0;

    [[nodiscard]] static R2t decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const R2t&, const R2t&) = default;
};

struct NopIn {
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = reserved_tag;
    std::uint32_t target_transfer_tag = reserved_tag;
    SequenceNumbers numbers;

    [[nodiscard]] static NopIn decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const NopIn&, const NopIn&) = default;
};

struct TaskManagementResponse {
    TaskFunctionResponse response = TaskFunctionResponse::function_complete;
    std::uint32_t initiator_task_tag = 0;
    SequenceNumbers numbers;

    [[nodiscard]] static TaskManagementResponse decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const TaskManagementResponse&, const TaskManagementResponse&) = default;
};

struct TextResponse {
    bool final = true;
    bool continues = false;
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t target_transfer_tag = reserved_tag;
    SequenceNumbers numbers;

    [[nodiscard]] static TextResponse decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const TextResponse&, const TextResponse&) = default;
};

struct LogoutResponse {
    LogoutResponseCode response = LogoutResponseCode::success;
    std::uint32_t initiator_task_tag = 0;
    SequenceNumbers numbers;
    std::uint16_t time2wait_s = 0, time2retain_s = 0;

    [[nodiscard]] static LogoutResponse decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const LogoutResponse&, const LogoutResponse&) = default;
};

/// Its data segment is the header of the PDU it refuses.
struct Reject {
    RejectReason reason = RejectReason::protocol_error;
    SequenceNumbers numbers;

    [[nodiscard]] static Reject decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const Reject&, const Reject&) = default;
};

struct AsyncMessage {
    AsyncEvent event = AsyncEvent::logout_request;
    SequenceNumbers numbers;
    std::uint16_t parameter1 = 0, parameter2 = 0, parameter3 = 0;  ///< for a logout request the third is the time to do it, in seconds

    [[nodiscard]] static AsyncMessage decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const AsyncMessage&, const AsyncMessage&) = default;
};

}  // namespace diskless::iscsi::wire
