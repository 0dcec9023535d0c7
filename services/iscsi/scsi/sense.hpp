// Sense data as bytes (SPC-4 4.5), and the additional sense codes we use by name.
#pragma once

#include <array>

#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

namespace asc {
inline constexpr std::uint16_t none = 0x0000;
inline constexpr std::uint16_t sanitize_in_progress = 0x041b;
inline constexpr std::uint16_t write_error = 0x0c00;
inline constexpr std::uint16_t unrecovered_read_error = 0x1100;
inline constexpr std::uint16_t miscompare_during_verify = 0x1d00;
inline constexpr std::uint16_t parameter_list_length_error = 0x1a00;
inline constexpr std::uint16_t invalid_command_operation_code = 0x2000;
inline constexpr std::uint16_t lba_out_of_range = 0x2100;
inline constexpr std::uint16_t invalid_field_in_cdb = 0x2400;
inline constexpr std::uint16_t logical_unit_not_supported = 0x2500;
inline constexpr std::uint16_t invalid_field_in_parameter_list = 0x2600;
inline constexpr std::uint16_t invalid_release_of_persistent_reservation = 0x2604;
inline constexpr std::uint16_t copy_target_device_not_reachable = 0x0d02;
inline constexpr std::uint16_t too_many_target_descriptors = 0x2606;
inline constexpr std::uint16_t unsupported_target_descriptor_type = 0x2607;
inline constexpr std::uint16_t too_many_segment_descriptors = 0x2608;
inline constexpr std::uint16_t unsupported_segment_descriptor_type = 0x2609;
inline constexpr std::uint16_t write_protected = 0x2700;
inline constexpr std::uint16_t medium_may_have_changed = 0x2800;
inline constexpr std::uint16_t space_allocation_failed = 0x2707;
inline constexpr std::uint16_t power_on_or_reset = 0x2900;
inline constexpr std::uint16_t bus_device_reset_function_occurred = 0x2903;
inline constexpr std::uint16_t mode_parameters_changed = 0x2a01;
inline constexpr std::uint16_t reservations_preempted = 0x2a03;
inline constexpr std::uint16_t reservations_released = 0x2a04;
inline constexpr std::uint16_t registrations_preempted = 0x2a05;
inline constexpr std::uint16_t capacity_has_changed = 0x2a09;
inline constexpr std::uint16_t commands_cleared_by_another_initiator = 0x2f00;
inline constexpr std::uint16_t saving_parameters_not_supported = 0x3900;
inline constexpr std::uint16_t thin_provisioning_soft_threshold_reached = 0x3807;
inline constexpr std::uint16_t medium_not_present = 0x3a00;
inline constexpr std::uint16_t reported_luns_data_has_changed = 0x3f0e;
inline constexpr std::uint16_t internal_target_failure = 0x4400;
inline constexpr std::uint16_t medium_removal_prevented = 0x5302;
inline constexpr std::uint16_t insufficient_registration_resources = 0x5504;
}  // namespace asc

/// Fixed format is 18 bytes, descriptor format at most 8 + 12 + 8.
inline constexpr std::size_t max_sense_bytes = 32;

struct EncodedSense {
    std::array<std::byte, max_sense_bytes> bytes{};
    std::size_t size = 0;
    [[nodiscard]] ByteSpan span() const noexcept { return ByteSpan{bytes}.first(size); }
};

/// `descriptor_format` as the control mode page's D_SENSE bit, or REQUEST SENSE's DESC bit, says.
[[nodiscard]] EncodedSense encode_sense(const Sense& sense, bool descriptor_format = false) noexcept;

}  // namespace diskless::scsi
