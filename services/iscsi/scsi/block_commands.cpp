#include "services/iscsi/scsi/block_commands.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>

#include "services/iscsi/scsi/inquiry.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

using Direction = Transfer::Direction;

std::uint8_t flags_of(const Command& command) noexcept { return load_be<std::uint8_t>(command.cdb, 1); }

bool check_length(Command& command, const BlockRange& range, const storage::Geometry& geometry) {
    if (range.blocks * geometry.logical_block_bytes <= max_transfer_bytes) return true;
    switch (load_be<std::uint8_t>(command.cdb, 0) >> 5) {  // where the transfer length is (SPC-4 4.3.4)
        case 4: command.fail_field(10); break;
        case 5: command.fail_field(6); break;
        default: command.fail_field(7); break;
    }
    return false;
}

std::optional<Transfer> examine_read(Command& command, const BlockRange& range, const storage::Geometry& geometry) {
    if (!check_length(command, range, geometry)) return std::nullopt;
    return Transfer{range.blocks == 0 ? Direction::none : Direction::data_in, range.blocks * geometry.logical_block_bytes};
}

std::optional<Transfer> examine_write(Command& command, const BlockRange& range, const storage::Geometry& geometry) {
    if (!check_length(command, range, geometry)) return std::nullopt;
    return Transfer{range.blocks == 0 ? Direction::none : Direction::data_out, range.blocks * geometry.logical_block_bytes};
}

// BYTCHK 00b: the medium is readable; 01b: compare with the data-out; 11b: compare every block with one (SBC-3 5.29).
std::optional<Transfer> examine_verify(Command& command, const BlockRange& range, const storage::Geometry& geometry) {
    const unsigned byte_check = flags_of(command) >> 1 & 3;
    if (byte_check == 2) {
        command.fail_field(1);
        return std::nullopt;
    }
    if (!check_length(command, range, geometry)) return std::nullopt;
    if (byte_check == 0 || range.blocks == 0) return Transfer{};
    return Transfer{Direction::data_out, (byte_check == 3 ? 1 : range.blocks) * geometry.logical_block_bytes};
}

// SBC-3 5.44 and 5.45: UNMAP only where blocks can be deallocated, ANCHOR never, NDOB (16 only) means a block of zeros.
std::optional<Transfer> examine_write_same(Command& command, const storage::Geometry& geometry) {
    const std::uint8_t flags = flags_of(command);
    const bool sixteen = load_be<std::uint8_t>(command.cdb, 0) == 0x93;
    const bool unmap = (flags & 0x08) != 0;
    const bool anchor = (flags & 0x10) != 0;
    if (anchor || (unmap && !geometry.can_discard)) {
        command.fail_field(1);
        return std::nullopt;
    }
    const BlockRange range = decode_range(command.cdb);
    const std::uint64_t to_the_end = geometry.size_bytes / geometry.logical_block_bytes - range.lba;
    if ((range.blocks == 0 ? to_the_end : range.blocks) * geometry.logical_block_bytes > max_write_same_bytes) {
        command.fail_field(sixteen ? 10 : 7);
        return std::nullopt;
    }
    const bool no_data = sixteen && (flags & 0x01) != 0;
    if (!no_data && command.announced_out.value_or(geometry.logical_block_bytes) != geometry.logical_block_bytes) {
        command.fail(SenseKey::illegal_request, asc::invalid_field_in_cdb);  // one block, neither less nor more
        return std::nullopt;
    }
    return no_data ? Transfer{} : Transfer{Direction::data_out, geometry.logical_block_bytes};
}

std::optional<Transfer> examine_unmap(Command& command, const storage::Geometry& geometry) {
    if (!geometry.can_discard) {
        command.fail(SenseKey::illegal_request, asc::invalid_command_operation_code);
        return std::nullopt;
    }
    if ((flags_of(command) & 0x01) != 0) {  // ANCHOR
        command.fail_field(1);
        return std::nullopt;
    }
    const auto length = load_be<std::uint16_t>(command.cdb, 7);
    if (length == 0) return Transfer{};
    return Transfer{Direction::data_out, length};
}

std::optional<Transfer> examine_compare_and_write(Command& command, const storage::Geometry& geometry) {
    const BlockRange range = compare_and_write_range(command.cdb);
    const std::uint64_t length = 2 * range.blocks * geometry.logical_block_bytes;
    if (range.blocks > max_compare_and_write_blocks || command.announced_out.value_or(length) != length) {
        command.fail_field(13);
        return std::nullopt;
    }
    return range.blocks == 0 ? Transfer{} : Transfer{Direction::data_out, length};
}

// SBC-3 5.6: the LBA itself must exist; there is no length to check.
std::optional<Transfer> examine_lba_status(Command& command, const storage::Geometry& geometry) {
    const BlockRange first{.lba = decode_range(command.cdb).lba, .blocks = 1};
    if (!check_range(command, first, geometry)) return std::nullopt;
    const std::uint64_t length = std::min<std::uint64_t>(load_be<std::uint32_t>(command.cdb, 10), max_parameter_bytes);
    return Transfer{length == 0 ? Direction::none : Direction::data_in, length};
}

}  // namespace

bool changes_medium(Operation operation) noexcept {
    switch (operation) {
        case Operation::write:
        case Operation::write_and_verify:
        case Operation::write_same:
        case Operation::unmap:
        case Operation::compare_and_write:
        case Operation::or_write:
        case Operation::sanitize: return true;
        default: return false;
    }
}

BlockRange compare_and_write_range(ByteSpan cdb) noexcept {
    BlockRange range = decode_range(cdb);
    range.blocks = load_be<std::uint8_t>(cdb, 13);
    return range;
}

bool check_range(Command& command, const BlockRange& range, const storage::Geometry& geometry) {
    if (range.protect != 0) {  // protection information is not supported: only 000b is valid
        command.fail_field(1);
        return false;
    }
    const std::uint64_t blocks = geometry.size_bytes / geometry.logical_block_bytes;
    if (range.lba <= blocks && range.blocks <= blocks - range.lba) return true;
    command.fail(SenseKey::illegal_request, asc::lba_out_of_range);
    command.sense.information = std::max(range.lba, blocks);
    command.sense.has_information = true;
    return false;
}

std::optional<Transfer> examine_block_command(Command& command, const CommandEntry& entry, const storage::Geometry& geometry) {
    if (changes_medium(entry.operation) && geometry.read_only) {
        command.fail(SenseKey::data_protect, asc::write_protected);
        return std::nullopt;
    }
    if (entry.operation == Operation::unmap) return examine_unmap(command, geometry);
    if (entry.operation == Operation::get_lba_status) return examine_lba_status(command, geometry);
    const BlockRange range =
        entry.operation == Operation::compare_and_write ? compare_and_write_range(command.cdb) : decode_range(command.cdb);
    if (entry.operation == Operation::synchronize_cache || entry.operation == Operation::prefetch) {
        if (!check_range(command, {.lba = range.lba, .blocks = range.blocks}, geometry)) return std::nullopt;
        return Transfer{};
    }
    if (!check_range(command, range, geometry)) return std::nullopt;
    switch (entry.operation) {
        case Operation::read: return examine_read(command, range, geometry);
        case Operation::compare_and_write: return examine_compare_and_write(command, geometry);
        case Operation::write:
        case Operation::or_write:
        case Operation::write_and_verify: return examine_write(command, range, geometry);
        case Operation::verify: return examine_verify(command, range, geometry);
        default: return examine_write_same(command, geometry);
    }
}

// SBC-3 5.28.2: header of 8 bytes, descriptors of 16. Nothing to do is GOOD.
std::optional<std::uint32_t> unmap_descriptors(Command& command) {
    if (command.data.empty()) return 0;
    if (command.data.size() < 8) {
        command.fail(SenseKey::illegal_request, asc::parameter_list_length_error);
        return std::nullopt;
    }
    const std::size_t described = load_be<std::uint16_t>(command.data, 2);
    const std::size_t there = std::min(described, command.data.size() - 8);
    const auto count = static_cast<std::uint32_t>(there / 16);
    if (count > max_unmap_descriptors) {
        command.fail(SenseKey::illegal_request, asc::invalid_field_in_parameter_list);
        return std::nullopt;
    }
    return count;
}

UnmapRange unmap_descriptor(ByteSpan parameter_list, std::uint32_t index) noexcept {
    const std::size_t at = 8 + std::size_t{16} * index;
    return {load_be<std::uint64_t>(parameter_list, at), load_be<std::uint32_t>(parameter_list, at + 8)};
}

void write_lba_status(ByteWriter& out, std::span<const storage::Extent> extents, std::uint32_t block_bytes) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    out.be(static_cast<std::uint32_t>(4 + extents.size() * 16));
    out.zeros(4);
    for (const storage::Extent& extent : extents) {
        out.be(extent.offset_bytes / block_bytes);
        out.be(static_cast<std::uint32_t>(std::min(most, extent.length_bytes / block_bytes)));
        out.u8(extent.allocated ? 0 : 1);  // mapped, deallocated
        out.zeros(3);
    }
}

void read_capacity_10(ByteWriter& out, const storage::Geometry& geometry) {
    const std::uint64_t last = geometry.size_bytes / geometry.logical_block_bytes - 1;
    out.be(static_cast<std::uint32_t>(std::min<std::uint64_t>(last, std::numeric_limits<std::uint32_t>::max())));
    out.be(geometry.logical_block_bytes);
}

void read_capacity_16(ByteWriter& out, const storage::Geometry& geometry) {
    out.be(geometry.size_bytes / geometry.logical_block_bytes - 1);
    out.be(geometry.logical_block_bytes);
    out.u8(0);
    out.u8(static_cast<std::uint8_t>(std::countr_zero(geometry.physical_block_bytes / geometry.logical_block_bytes)));
    out.be<std::uint16_t>(geometry.can_discard ? 0xc000 : 0);  // LBPME, LBPRZ
    out.zeros(16);
}

void fail_by_device(Command& command, const storage::IoRequest& request) {
    switch (request.error.value()) {
        case ENOSPC:
        case EDQUOT: return command.fail(SenseKey::data_protect, asc::space_allocation_failed);
        case EROFS:
        case EPERM:
        case EACCES: return command.fail(SenseKey::data_protect, asc::write_protected);
        case EIO:
        case ENODATA:
            return command.fail(SenseKey::medium_error,
                                request.kind == storage::IoKind::read ? asc::unrecovered_read_error : asc::write_error);
        default: return command.fail(SenseKey::hardware_error, asc::internal_target_failure);
    }
}

}  // namespace diskless::scsi
