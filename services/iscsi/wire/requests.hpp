// What an initiator sends, field by field (RFC 7143 11.3, 11.5, 11.7, 11.10, 11.12, 11.14, 11.16, 11.18).
// Any 48 bytes decode to some value: whether it makes sense is for login, session and SCSI to say. decode(encode(x)) == x.
#pragma once

#include <array>
#include <cstdint>

#include "services/iscsi/wire/bhs.hpp"

namespace diskless::iscsi::wire {

/// Initiator session id, six bytes as sent. Its first two bits say how the rest was made (RFC 7143 11.12.5).
struct Isid {
    std::array<std::byte, 6> octets{};
    friend auto operator<=>(const Isid&, const Isid&) = default;
};

struct LoginRequest {
    bool transit = false;
    bool continues = false;  ///< C: this text goes on in the next request
    Stage current_stage = Stage::security_negotiation;
    Stage next_stage = Stage::security_negotiation;
    std::uint8_t version_max = 0, version_min = 0;
    Isid isid;
    std::uint16_t tsih = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint16_t cid = 0;
    std::uint32_t cmd_sn = 0, exp_stat_sn = 0;

    [[nodiscard]] static LoginRequest decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const LoginRequest&, const LoginRequest&) = default;
};

struct ScsiCommand {
    bool immediate = false;
    bool final = true;  ///< no unsolicited Data-Out follows
    bool read = false, write = false;
    std::uint8_t attributes = 0;  ///< 0 untagged, 1 simple, 2 ordered, 3 head of queue, 4 ACA
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t expected_data_transfer_length = 0;
    std::uint32_t cmd_sn = 0, exp_stat_sn = 0;
    std::array<std::byte, 16> cdb{};

    [[nodiscard]] static ScsiCommand decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const ScsiCommand&, const ScsiCommand&) = default;
};

struct DataOut {
    bool final = true;
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t target_transfer_tag = reserved_tag;
    std::uint32_t exp_stat_sn = 0;
    std::uint32_t data_sn = 0;
    std::uint32_t buffer_offset = 0;

    [[nodiscard]] static DataOut decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const DataOut&, const DataOut&) = default;
};

struct NopOut {
    bool immediate = true;
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = reserved_tag;
    std::uint32_t target_transfer_tag = reserved_tag;
    std::uint32_t cmd_sn = 0, exp_stat_sn = 0;

    [[nodiscard]] static NopOut decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const NopOut&, const NopOut&) = default;
};

struct TaskManagementRequest {
    bool immediate = true;
    TaskFunction function = TaskFunction::abort_task;
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t referenced_task_tag = reserved_tag;
    std::uint32_t cmd_sn = 0, exp_stat_sn = 0;
    std::uint32_t ref_cmd_sn = 0;
    std::uint32_t exp_data_sn = 0;

    [[nodiscard]] static TaskManagementRequest decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const TaskManagementRequest&, const TaskManagementRequest&) = default;
};

struct TextRequest {
    bool immediate = false;
    bool final = true;
    bool continues = false;
    std::uint64_t lun = 0;
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t target_transfer_tag = reserved_tag;
    std::uint32_t cmd_sn = 0, exp_stat_sn = 0;

    [[nodiscard]] static TextRequest decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const TextRequest&, const TextRequest&) = default;
};

struct LogoutRequest {
    bool immediate = true;
    LogoutReason reason = LogoutReason::close_session;
    std::uint32_t initiator_task_tag = 0;
    std::uint16_t cid = 0;
    std::uint32_t cmd_sn = 0, exp_stat_sn = 0;

    [[nodiscard]] static LogoutRequest decode(ByteSpan bhs) noexcept;
    void encode(Bhs& bhs) const noexcept;
    friend bool operator==(const LogoutRequest&, const LogoutRequest&) = default;
};

}  // namespace diskless::iscsi::wire
