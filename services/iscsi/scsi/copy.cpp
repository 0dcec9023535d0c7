#include "services/iscsi/scsi/copy.hpp"

#include <algorithm>
#include <bit>

#include "services/iscsi/scsi/block_commands.hpp"
#include "services/iscsi/scsi/logical_unit.hpp"
#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

constexpr std::size_t header_bytes = 16;
constexpr std::size_t target_bytes = 32;
constexpr std::size_t block_segment_bytes = 28;
constexpr std::uint8_t identification_target = 0xe4;
constexpr std::uint8_t block_to_block = 0x02;
constexpr std::size_t max_targets = 8;
constexpr std::size_t max_segments = 8;
constexpr std::size_t max_list_bytes = max_targets * target_bytes + max_segments * block_segment_bytes;
constexpr std::uint32_t max_segment_bytes = 16u << 20;

std::nullopt_t fail(Command& command, std::uint16_t asc_ascq) {
    command.fail(SenseKey::illegal_request, asc_ascq);
    return std::nullopt;
}

using Units = std::vector<std::shared_ptr<LogicalUnit>>;

std::optional<Units> targets_of(Command& command, ByteSpan list, const FindUnit& find) {
    Units units;
    if (list.size() % target_bytes != 0) return fail(command, asc::parameter_list_length_error);
    if (list.size() / target_bytes > max_targets) return fail(command, asc::too_many_target_descriptors);
    for (; !list.empty(); list = list.subspan(target_bytes)) {
        const ByteSpan descriptor = list.first(target_bytes);
        if (load_be<std::uint8_t>(descriptor, 0) != identification_target) return fail(command, asc::unsupported_target_descriptor_type);
        const bool sound = (load_be<std::uint8_t>(descriptor, 1) & 0x1f) == 0;  // a disk
        auto unit = sound ? find(descriptor.subspan(4, 24)) : nullptr;
        if (unit == nullptr) {
            command.fail(SenseKey::copy_aborted, asc::copy_target_device_not_reachable);
            return std::nullopt;
        }
        units.push_back(std::move(unit));
    }
    return units;
}

std::optional<CopySegment> segment_of(Command& command, ByteSpan descriptor, const Units& units) {
    const auto source = load_be<std::uint16_t>(descriptor, 4);
    const auto destination = load_be<std::uint16_t>(descriptor, 6);
    if (source >= units.size() || destination >= units.size()) {
        command.fail(SenseKey::copy_aborted, asc::copy_target_device_not_reachable);
        return std::nullopt;
    }
    const auto& from = units[source];
    const auto& to = units[destination];
    const std::uint64_t blocks = load_be<std::uint16_t>(descriptor, 10);
    const bool counts_source = (load_be<std::uint8_t>(descriptor, 1) & 0x02) == 0;  // DC: whose blocks the length counts
    const std::uint64_t from_block = from->geometry().logical_block_bytes;
    const std::uint64_t to_block = to->geometry().logical_block_bytes;
    const std::uint64_t length = blocks * (counts_source ? from_block : to_block);
    if (length % from_block != 0 || length % to_block != 0) return fail(command, asc::invalid_field_in_parameter_list);
    const BlockRange read{.lba = load_be<std::uint64_t>(descriptor, 12), .blocks = length / from_block};
    const BlockRange write{.lba = load_be<std::uint64_t>(descriptor, 20), .blocks = length / to_block};
    if (!check_range(command, read, from->geometry()) || !check_range(command, write, to->geometry())) {
        command.fail(SenseKey::copy_aborted, asc::none);  // SPC-4 6.4.3: what is wrong at a copy target aborts the copy
        return std::nullopt;
    }
    if (!from->admits_copy(command, false) || !to->admits_copy(command, true)) return std::nullopt;
    return CopySegment{from, to, read.lba * from_block, write.lba * to_block, length};
}

}  // namespace

std::optional<std::vector<CopySegment>> copy_segments(Command& command, const FindUnit& find) {
    const ByteSpan list = command.data;
    if (list.empty()) return std::vector<CopySegment>{};  // SPC-4 6.4.1: no list is no error
    if (list.size() < header_bytes) return fail(command, asc::parameter_list_length_error);
    const std::size_t target_length = load_be<std::uint16_t>(list, 2);
    const std::size_t segment_length = load_be<std::uint32_t>(list, 8);
    const std::size_t inline_length = load_be<std::uint32_t>(list, 12);
    if (inline_length != 0) return fail(command, asc::invalid_field_in_parameter_list);
    if (target_length + segment_length > max_list_bytes) return fail(command, asc::parameter_list_length_error);
    if (target_length / target_bytes > max_targets) return fail(command, asc::too_many_target_descriptors);
    if (segment_length / block_segment_bytes > max_segments) return fail(command, asc::too_many_segment_descriptors);
    if (header_bytes + target_length + segment_length > list.size()) return fail(command, asc::parameter_list_length_error);
    const auto units = targets_of(command, list.subspan(header_bytes, target_length), find);
    if (!units) return std::nullopt;
    std::vector<CopySegment> segments;
    for (ByteSpan rest = list.subspan(header_bytes + target_length, segment_length); !rest.empty();) {
        if (load_be<std::uint8_t>(rest, 0) != block_to_block) return fail(command, asc::unsupported_segment_descriptor_type);
        const bool sound = rest.size() >= block_segment_bytes && load_be<std::uint16_t>(rest, 2) == block_segment_bytes - 4;
        if (!sound) return fail(command, asc::invalid_field_in_parameter_list);
        auto segment = segment_of(command, rest.first(block_segment_bytes), *units);
        if (!segment) return std::nullopt;
        segments.push_back(std::move(*segment));
        rest = rest.subspan(block_segment_bytes);
    }
    return segments;
}

void CopyResults::keep(const Result& result) {
    (void)take(result.nexus, result.list);
    if (results_.size() == max_results) results_.erase(results_.begin());
    results_.push_back(result);
}

std::optional<CopyResults::Result> CopyResults::take(std::uint64_t nexus, std::uint8_t list) {
    const auto found = std::ranges::find_if(results_, [&](const Result& r) { return r.nexus == nexus && r.list == list; });
    if (found == results_.end()) return std::nullopt;
    const Result result = *found;
    results_.erase(found);
    return result;
}

void receive_copy_results(Command& command, CopyResults& results, std::uint32_t block_bytes) {
    constexpr unsigned operating_parameters = 3;
    const unsigned action = load_be<std::uint8_t>(command.cdb, 1) & 0x1f;
    if (action != operating_parameters) {
        const auto result = results.take(command.nexus != nullptr ? command.nexus->id : 0, load_be<std::uint8_t>(command.cdb, 2));
        if (!result) return command.fail_field(2);
        std::array<std::byte, 12> room{};
        ByteWriter out{room};
        out.be<std::uint32_t>(8);
        out.u8(result->good ? 1 : 2);  // completed, without or with errors
        out.be(result->segments);
        out.u8(1);  // counted in KiB
        out.be(static_cast<std::uint32_t>(result->bytes >> 10));
        return answer(command, room);
    }
    std::array<std::byte, 48> room{};
    ByteWriter out{room};
    out.be<std::uint32_t>(42);
    out.u8(1);  // SNLID
    out.zeros(3);
    out.be<std::uint16_t>(max_targets);
    out.be<std::uint16_t>(max_segments);
    out.be(static_cast<std::uint32_t>(max_list_bytes));
    out.be(max_segment_bytes);
    out.zeros(4 + 4 + 4 + 4);                                          // inline data, held data, stream lengths
    out.be<std::uint16_t>(1);                                          // concurrent copies
    out.u8(1);                                                         // the same
    out.u8(static_cast<std::uint8_t>(std::countr_zero(block_bytes)));  // data segment granularity
    out.zeros(2);                                                      // inline and held data granularity
    out.zeros(1);
    out.u8(2);  // implemented descriptors
    out.u8(block_to_block);
    out.u8(identification_target);
    answer(command, out.written());
}

}  // namespace diskless::scsi
