// What each block command asks of the device, one request after the other (LogicalUnit::next_…). A command whose initiator expects less
// than its CDB says moves only that much: data.size() is the limit throughout.
#include <algorithm>
#include <cstring>

#include "services/iscsi/scsi/block_commands.hpp"
#include "services/iscsi/scsi/logical_unit.hpp"
#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

using storage::IoKind;

/// WRITE SAME with a pattern goes to the device in pieces of this much, VERIFY reads in such: the memory one of them needs at most.
constexpr std::uint64_t chunk_bytes = std::uint64_t{512} << 10;

void prepare(storage::IoRequest& request, IoKind kind, std::uint64_t offset_bytes, std::uint64_t length_bytes) noexcept {
    request.kind = kind;
    request.offset_bytes = offset_bytes;
    request.length_bytes = length_bytes;
    request.force_unit_access = false;
    request.may_discard = false;
    request.buffers = {};
}

bool all_zero(ByteSpan bytes) noexcept {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

// The device reads whole blocks; where the initiator expects less, the tail of the last one goes to scratch and is forgotten.
bool LogicalUnit::next_read(Command& command) {
    Command::Work& work = command.work_;
    const BlockRange range = decode_range(command.cdb);
    const std::uint64_t wanted = std::min<std::uint64_t>(command.data.size(), bytes_of(range.blocks));
    if (work.step == 1 || wanted == 0) {
        command.data_in_bytes = wanted;
        return true;
    }
    const std::uint64_t block = device_->geometry().logical_block_bytes;
    const std::uint64_t tail = (block - wanted % block) % block;
    prepare(work, IoKind::read, bytes_of(range.lba), wanted + tail);
    work.pieces[0] = {command.data.data(), wanted};
    if (tail != 0) {
        work.scratch.resize(tail);
        work.pieces[1] = {work.scratch.data(), tail};
    }
    work.buffers = std::span{work.pieces}.first(tail != 0 ? 2 : 1);
    return false;
}

bool LogicalUnit::next_write(Command& command) {
    Command::Work& work = command.work_;
    const std::uint64_t block = device_->geometry().logical_block_bytes;
    const BlockRange range = decode_range(command.cdb);
    const std::uint64_t whole = std::min<std::uint64_t>(command.data.size() / block * block, bytes_of(range.blocks));
    if (work.step == 1 || whole == 0) return true;
    const bool verify = work.entry->operation == Operation::write_and_verify;
    prepare(work, IoKind::write, bytes_of(range.lba), whole);
    work.force_unit_access = range.force_unit_access || verify;
    work.pieces[0] = {command.data.data(), whole};
    work.buffers = std::span{work.pieces}.first(1);
    return false;
}

bool LogicalUnit::next_verify(Command& command) {
    Command::Work& work = command.work_;
    const std::uint64_t block = device_->geometry().logical_block_bytes;
    const BlockRange range = decode_range(command.cdb);
    const unsigned byte_check = load_be<std::uint8_t>(command.cdb, 1) >> 1 & 3;
    if (byte_check == 0) return next_medium_read(command, bytes_of(range.lba), bytes_of(range.blocks));
    if (command.data.size() < block) return true;  // nothing to compare with
    const bool one_block = byte_check == 3;
    const std::uint64_t asked = bytes_of(range.blocks);
    const std::uint64_t length = one_block ? asked : std::min<std::uint64_t>(command.data.size() / block * block, asked);
    const std::uint64_t done = work.step * chunk_bytes;
    const std::uint64_t compared = done - (work.step == 0 ? 0 : chunk_bytes);
    for (std::uint64_t at = 0; work.step != 0 && at < work.length_bytes; at += block) {
        const std::byte* const expected = command.data.data() + (one_block ? 0 : compared + at);
        if (std::memcmp(work.scratch.data() + at, expected, block) == 0) continue;
        command.fail(SenseKey::miscompare, asc::miscompare_during_verify);
        return true;
    }
    if (done >= length) return true;
    const std::uint64_t now = std::min(chunk_bytes, length - done);
    work.scratch.resize(now);
    prepare(work, IoKind::read, bytes_of(range.lba) + done, now);
    work.pieces[0] = {work.scratch.data(), now};
    work.buffers = std::span{work.pieces}.first(1);
    return false;
}

/// Reads a range for nobody: the medium can be read, and is in the page cache afterwards.
bool LogicalUnit::next_medium_read(Command& command, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
    Command::Work& work = command.work_;
    const std::uint64_t done = work.step * chunk_bytes;
    if (done >= length_bytes) return true;
    const std::uint64_t now = std::min(chunk_bytes, length_bytes - done);
    work.scratch.resize(std::max<std::size_t>(work.scratch.size(), now));
    prepare(work, IoKind::read, offset_bytes + done, now);
    work.pieces[0] = {work.scratch.data(), now};
    work.buffers = std::span{work.pieces}.first(1);
    return false;
}

bool LogicalUnit::next_prefetch(Command& command) {
    const BlockRange range = decode_range(command.cdb);
    const std::uint64_t there = device_->geometry().size_bytes - bytes_of(range.lba);
    const std::uint64_t asked = range.blocks == 0 ? there : bytes_of(range.blocks);
    return next_medium_read(command, bytes_of(range.lba), std::min(asked, max_transfer_bytes));
}

// The gate is closed to everybody else: nothing changes between the reading and the writing.
bool LogicalUnit::next_compare_and_write(Command& command) {
    Command::Work& work = command.work_;
    const BlockRange range = compare_and_write_range(command.cdb);
    const std::uint64_t length = bytes_of(range.blocks);
    if (length == 0 || work.step == 2) return true;
    if (command.data.size() != 2 * length) {
        command.fail(SenseKey::illegal_request, asc::invalid_field_in_cdb);
        return true;
    }
    if (work.step == 0) {
        work.scratch.resize(length);
        prepare(work, IoKind::read, bytes_of(range.lba), length);
        work.pieces[0] = {work.scratch.data(), length};
    } else {
        const ByteSpan there = ByteSpan{work.scratch}.first(length);
        const auto at = std::ranges::mismatch(there, ByteSpan{command.data}.first(length)).in1 - there.begin();
        if (static_cast<std::uint64_t>(at) != length) {
            command.fail(SenseKey::miscompare, asc::miscompare_during_verify);
            command.sense.information = static_cast<std::uint64_t>(at);
            command.sense.has_information = true;
            return true;
        }
        prepare(work, IoKind::write, bytes_of(range.lba), length);
        work.force_unit_access = range.force_unit_access;
        work.pieces[0] = {command.data.data() + length, length};
    }
    work.buffers = std::span{work.pieces}.first(1);
    return false;
}

bool LogicalUnit::next_or_write(Command& command) {
    Command::Work& work = command.work_;
    const BlockRange range = decode_range(command.cdb);
    const std::uint64_t block = device_->geometry().logical_block_bytes;
    const std::uint64_t length = std::min<std::uint64_t>(command.data.size() / block * block, bytes_of(range.blocks));
    if (length == 0 || work.step == 2) return true;
    if (work.step == 0) {
        work.scratch.resize(length);
        prepare(work, IoKind::read, bytes_of(range.lba), length);
    } else {
        for (std::uint64_t i = 0; i < length; ++i) work.scratch[i] |= command.data[i];
        prepare(work, IoKind::write, bytes_of(range.lba), length);
        work.force_unit_access = range.force_unit_access;
    }
    work.pieces[0] = {work.scratch.data(), length};
    work.buffers = std::span{work.pieces}.first(1);
    return false;
}

bool LogicalUnit::next_lba_status(Command& command) {
    constexpr std::size_t max_extents = 64;
    Command::Work& work = command.work_;
    const storage::Geometry& geometry = device_->geometry();
    if (work.step == 0) {
        // Space comes and goes by physical blocks: the first descriptor is of the first whole one (libiscsi's suite insists).
        const std::uint64_t asked = bytes_of(decode_range(command.cdb).lba);
        const std::uint64_t whole =
            (asked + geometry.physical_block_bytes - 1) / geometry.physical_block_bytes * geometry.physical_block_bytes;
        const std::uint64_t from = whole < geometry.size_bytes ? whole : asked;
        work.found.resize(max_extents);
        prepare(work, IoKind::allocation, from, geometry.size_bytes - from);
        work.extents = work.found;
        return false;
    }
    std::array<std::byte, 8 + max_extents * 16> room{};
    ByteWriter out{room};
    write_lba_status(out, std::span{work.found}.first(work.extent_count), geometry.logical_block_bytes);
    answer(command, out.written());
    return true;
}

// Segment by segment, a piece read here, the same piece written there.
bool LogicalUnit::next_copy(Command& command) {
    Command::Work& work = command.work_;
    const bool writes = work.step % 2 == 1;
    std::uint64_t done = work.step / 2 * chunk_bytes;
    for (const CopySegment& segment : work.segments) {
        const std::uint64_t whole = (segment.length_bytes + chunk_bytes - 1) / chunk_bytes * chunk_bytes;
        if (done >= whole) {
            done -= whole;
            continue;
        }
        const std::uint64_t now = std::min(chunk_bytes, segment.length_bytes - done);
        work.scratch.resize(std::max<std::size_t>(work.scratch.size(), now));
        prepare(work, writes ? IoKind::write : IoKind::read, (writes ? segment.to_bytes : segment.from_bytes) + done, now);
        work.elsewhere = (writes ? segment.to : segment.from)->device_.get();
        work.pieces[0] = {work.scratch.data(), now};
        work.buffers = std::span{work.pieces}.first(1);
        return false;
    }
    note_copy(command);
    return true;
}

/// For RECEIVE COPY RESULTS, unless the initiator said that it will not ask (list ID usage 10b, SPC-4 6.4.1).
void LogicalUnit::note_copy(const Command& command) {
    if (command.data.empty() || (load_be<std::uint8_t>(command.data, 1) >> 3 & 3) == 3) return;
    CopyResults::Result result{.nexus = command.nexus != nullptr ? command.nexus->id : 0,
                               .list = load_be<std::uint8_t>(command.data, 0),
                               .good = command.status == Status::good,
                               .segments = static_cast<std::uint16_t>(command.work_.segments.size())};
    for (const CopySegment& segment : command.work_.segments) result.bytes += segment.length_bytes;
    const std::lock_guard lock{mutex_};
    copies_.keep(result);
}

bool LogicalUnit::next_write_same(Command& command) {
    Command::Work& work = command.work_;
    const storage::Geometry& geometry = device_->geometry();
    const std::uint64_t block = geometry.logical_block_bytes;
    const bool no_data = load_be<std::uint8_t>(command.cdb, 0) == 0x93 && (load_be<std::uint8_t>(command.cdb, 1) & 1) != 0;
    if (!no_data && command.data.size() < block) {
        command.fail(SenseKey::illegal_request, asc::invalid_field_in_cdb);
        return true;
    }
    BlockRange range = decode_range(command.cdb);
    if (range.blocks == 0) range.blocks = geometry.size_bytes / block - range.lba;  // WSNZ 0: to the end
    const std::uint64_t length = bytes_of(range.blocks);
    if (length == 0) return true;
    // Whoever sets UNMAP wants the blocks unmapped, whatever block comes along: other targets take it so, and zeros are what is read then.
    const bool unmap = (load_be<std::uint8_t>(command.cdb, 1) & 0x08) != 0;
    if (no_data || unmap || all_zero(command.data.first(block))) {
        if (work.step == 1) return true;
        prepare(work, IoKind::write_zeroes, bytes_of(range.lba), length);
        work.may_discard = unmap;
        return false;
    }
    const std::uint64_t done = work.step * chunk_bytes;
    if (done >= length) return true;
    const std::uint64_t now = std::min(chunk_bytes, length - done);
    if (work.step == 0) {
        work.scratch.resize(now);
        for (std::uint64_t at = 0; at < now; at += block) std::memcpy(work.scratch.data() + at, command.data.data(), block);
    }
    prepare(work, IoKind::write, bytes_of(range.lba) + done, now);
    work.pieces[0] = {work.scratch.data(), now};
    work.buffers = std::span{work.pieces}.first(1);
    return false;
}

// All descriptors are checked before the first is performed, so that a wrong one changes nothing.
bool LogicalUnit::next_unmap(Command& command) {
    Command::Work& work = command.work_;
    const auto count = unmap_descriptors(command);
    if (!count) return true;
    if (work.step == 0) {
        for (std::uint32_t i = 0; i < *count; ++i) {
            const UnmapRange range = unmap_descriptor(command.data, i);
            if (!check_range(command, {.lba = range.lba, .blocks = range.blocks}, device_->geometry())) return true;
        }
    }
    // Empty descriptors are allowed and ask nothing of the device; a flush of nothing would cost, so they are passed over.
    std::uint32_t performed = 0;
    for (std::uint32_t i = 0; i < *count; ++i) {
        const UnmapRange range = unmap_descriptor(command.data, i);
        if (range.blocks == 0 || performed++ != work.step) continue;
        prepare(work, IoKind::discard, bytes_of(range.lba), bytes_of(range.blocks));
        return false;
    }
    return true;
}

// IMMED only allows an answer before the end; an answer after it is always right.
bool LogicalUnit::next_flush(Command& command) {
    if (command.work_.step == 1) return true;
    prepare(command.work_, IoKind::flush, 0, 0);
    return false;
}

}  // namespace diskless::scsi
