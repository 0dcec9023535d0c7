#include "services/iscsi/scsi/logical_unit.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "services/iscsi/scsi/block_commands.hpp"
#include "services/iscsi/scsi/copy.hpp"
#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

using Direction = Transfer::Direction;
using storage::Started;

std::uint64_t allocation_length(const Command& command, Operation operation) noexcept {
    const ByteSpan cdb = command.cdb;
    const auto opcode = load_be<std::uint8_t>(cdb, 0);
    switch (operation) {
        case Operation::inquiry: return load_be<std::uint16_t>(cdb, 3);
        case Operation::request_sense: return load_be<std::uint8_t>(cdb, 4);
        case Operation::mode_sense: return opcode == 0x5a ? load_be<std::uint16_t>(cdb, 7) : load_be<std::uint8_t>(cdb, 4);
        case Operation::read_capacity_10: return 8;
        case Operation::persistent_reserve_in: return load_be<std::uint16_t>(cdb, 7);
        case Operation::read_defect_data: return opcode == 0x37 ? load_be<std::uint16_t>(cdb, 7) : load_be<std::uint32_t>(cdb, 6);
        case Operation::receive_copy_results:
        case Operation::read_capacity_16: return load_be<std::uint32_t>(cdb, 10);
        default: return load_be<std::uint32_t>(cdb, 6);  // REPORT LUNS and the reports of A3h
    }
}

/// How long the parameter list is that comes with the command; nothing: none does.
std::optional<std::uint64_t> parameter_list_length(const Command& command, Operation operation) noexcept {
    const ByteSpan cdb = command.cdb;
    switch (operation) {
        case Operation::mode_select:
            return load_be<std::uint8_t>(cdb, 0) == 0x55 ? load_be<std::uint16_t>(cdb, 7) : load_be<std::uint8_t>(cdb, 4);
        case Operation::persistent_reserve_out: return load_be<std::uint32_t>(cdb, 5);
        case Operation::extended_copy: return load_be<std::uint32_t>(cdb, 10);
        case Operation::sanitize: return load_be<std::uint16_t>(cdb, 7);
        default: return std::nullopt;
    }
}

bool is_block_command(Operation operation) noexcept {
    switch (operation) {
        case Operation::read:
        case Operation::write:
        case Operation::verify:
        case Operation::write_and_verify:
        case Operation::synchronize_cache:
        case Operation::unmap:
        case Operation::prefetch:
        case Operation::compare_and_write:
        case Operation::or_write:
        case Operation::get_lba_status:
        case Operation::write_same: return true;
        default: return false;
    }
}

/// What has no data and asks nothing of the medium's content.
bool has_no_data(Operation operation) noexcept {
    return operation == Operation::test_unit_ready || operation == Operation::start_stop_unit ||
           operation == Operation::prevent_allow_medium_removal || operation == Operation::reserve || operation == Operation::release;
}

/// What a sanitize operation under way, or (but for START STOP UNIT) an ejected medium makes fail.
bool needs_medium(Operation operation) noexcept {
    return is_block_command(operation) || operation == Operation::test_unit_ready || operation == Operation::read_capacity_10 ||
           operation == Operation::read_capacity_16 || operation == Operation::sanitize || operation == Operation::extended_copy ||
           operation == Operation::read_defect_data || operation == Operation::start_stop_unit;
}

Gate::Pass pass_of(Operation operation) noexcept {
    const bool alone =
        operation == Operation::compare_and_write || operation == Operation::or_write || operation == Operation::extended_copy;
    return alone ? Gate::Pass::exclusive : Gate::Pass::shared;
}

/// SAM-5 5.14: these are answered whatever attention is waiting.
bool passes_attention(Operation operation) noexcept {
    return operation == Operation::inquiry || operation == Operation::report_luns || operation == Operation::request_sense;
}

void inquiry(Command& command, const Identity& identity, const storage::Geometry& geometry) {
    const bool vital = (load_be<std::uint8_t>(command.cdb, 1) & 1) != 0;
    const auto page = load_be<std::uint8_t>(command.cdb, 2);
    std::array<std::byte, 1024> room{};
    ByteWriter out{room};
    if (!vital) {
        if (page != 0) return command.fail_field(2);
        write_standard_inquiry(out, true, identity.removable);
    } else if (!write_vpd_page(out, page, identity, geometry)) {
        return command.fail_field(2);
    }
    answer(command, out.written());
}

void read_capacity(Command& command, Operation operation, const storage::Geometry& geometry) {
    std::array<std::byte, 32> room{};
    ByteWriter out{room};
    operation == Operation::read_capacity_10 ? read_capacity_10(out, geometry) : read_capacity_16(out, geometry);
    answer(command, out.written());
}

}  // namespace

LogicalUnit::LogicalUnit(std::shared_ptr<storage::BlockDevice> device, Identity identity, std::shared_ptr<ReservationBook> book)
    : device_{std::move(device)}, identity_{std::move(identity)}, book_{std::move(book)} {}

std::optional<Transfer> LogicalUnit::examine(Command& command) {
    bool knows_opcode = false;
    const CommandEntry* entry = find_command(command.cdb, knows_opcode);
    command.work_.entry = entry;
    command.descriptor_sense = descriptor_sense_.load(std::memory_order_relaxed);
    if (!attentions_.none() && !(entry != nullptr && passes_attention(entry->operation)) && reports_attention(command)) return std::nullopt;
    if (entry != nullptr && !has(*entry)) {
        command.fail(SenseKey::illegal_request, asc::invalid_command_operation_code);
        return std::nullopt;
    }
    if (entry == nullptr) {
        if (knows_opcode) {
            command.fail_field(1);
        } else {
            command.fail(SenseKey::illegal_request, asc::invalid_command_operation_code);
        }
        return std::nullopt;
    }
    if (refuses(command, *entry)) return std::nullopt;
    return transfer_of(command, *entry);
}

bool LogicalUnit::has(const CommandEntry& entry) const noexcept {
    if (entry.operation == Operation::unmap) return geometry().can_discard;
    return entry.operation != Operation::sanitize || identity_.sanitize;
}

/// Whether the state of the unit is against it, or the CDB's control byte.
bool LogicalUnit::refuses(Command& command, const CommandEntry& entry) {
    const auto control = static_cast<std::uint16_t>(entry.cdb_bytes - 1);
    if ((load_be<std::uint8_t>(command.cdb, control) & 0x04) != 0) {  // NACA: auto contingent allegiance is not supported
        command.fail_field(control);
        return true;
    }
    if (!book_->empty() && command.nexus != nullptr) {
        const bool conflicts = book_->with([&](Reservations& r) { return r.conflicts(*command.nexus, entry, command.cdb); });
        if (conflicts) {
            command.status = Status::reservation_conflict;
            return true;
        }
    }
    if (!needs_medium(entry.operation)) return false;
    if (sanitized_.load(std::memory_order_relaxed) != not_sanitizing) {
        command.fail(SenseKey::not_ready, asc::sanitize_in_progress);
        return true;
    }
    if (medium_.is_out() && entry.operation != Operation::start_stop_unit) {
        command.fail(SenseKey::not_ready, asc::medium_not_present);
        return true;
    }
    return false;
}

std::optional<Transfer> LogicalUnit::transfer_of(Command& command, const CommandEntry& entry) {
    if (is_block_command(entry.operation)) return examine_blocks(command, entry);
    if (has_no_data(entry.operation)) return Transfer{};
    if (entry.operation == Operation::sanitize && (write_protected_ || geometry().read_only)) {
        command.fail(SenseKey::data_protect, asc::write_protected);
        return std::nullopt;
    }
    if (const auto length = parameter_list_length(command, entry.operation)) {
        if (*length > max_parameter_bytes) {
            command.fail(SenseKey::illegal_request, asc::parameter_list_length_error);
            return std::nullopt;
        }
        return Transfer{*length == 0 ? Direction::none : Direction::data_out, *length};
    }
    const std::uint64_t length = std::min(allocation_length(command, entry.operation), max_parameter_bytes);
    return Transfer{length == 0 ? Direction::none : Direction::data_in, length};
}

std::optional<Transfer> LogicalUnit::examine_blocks(Command& command, const CommandEntry& entry) {
    if (changes_medium(entry.operation) && write_protected_.load(std::memory_order_relaxed)) {
        command.fail(SenseKey::data_protect, asc::write_protected);
        return std::nullopt;
    }
    return examine_block_command(command, entry, device_->geometry());
}

Started LogicalUnit::execute(Command& command) {
    const Operation operation = command.work_.entry->operation;
    if (is_block_command(operation) || operation == Operation::extended_copy) return start(command);
    const storage::Geometry& geometry = device_->geometry();
    switch (operation) {
        case Operation::inquiry: inquiry(command, identity_, geometry); break;
        case Operation::request_sense: request_sense(command); break;
        case Operation::mode_sense: mode_sense(command, geometry, mode()); break;
        case Operation::mode_select: select_mode(command); break;
        case Operation::read_capacity_10:
        case Operation::read_capacity_16: read_capacity(command, operation, geometry); break;
        case Operation::receive_copy_results: {
            const std::lock_guard lock{mutex_};
            receive_copy_results(command, copies_, geometry.logical_block_bytes);
            break;
        }
        case Operation::read_defect_data: read_defect_data(command); break;
        case Operation::report_supported_operation_codes:
            report_supported_operation_codes(command, [this](const CommandEntry& entry) { return has(entry); });
            break;
        case Operation::report_supported_task_management_functions: report_supported_task_management_functions(command); break;
        case Operation::report_target_port_groups: report_target_port_groups(command); break;
        case Operation::start_stop_unit: start_stop(command); break;
        case Operation::prevent_allow_medium_removal: prevent_allow(command); break;
        case Operation::reserve: reserve(command); break;
        case Operation::release: release(command); break;
        case Operation::persistent_reserve_in: book_->with([&](Reservations& r) { r.persistent_reserve_in(command); }); break;
        case Operation::persistent_reserve_out: return persistent_reserve_out(command);
        case Operation::sanitize: return sanitize(command);
        default: break;  // TEST UNIT READY
    }
    return Started::completed;
}

Started LogicalUnit::start(Command& command) {
    command.work_.step = 0;
    command.work_.error.clear();
    if (!gate_.enter(command, pass_of(command.work_.entry->operation))) return Started::pending;
    return perform(command);
}

Started LogicalUnit::perform(Command& command) {
    // advance() prepares one device request after the other. All of them may complete at once: then no stack grows and nothing is pending.
    while (!advance(command)) {
        ++command.work_.step;
        if (device_of(command).start(command.work_) == Started::pending) return Started::pending;
    }
    leave(command);
    return Started::completed;
}

// On whatever thread the device chose. The command may be gone once it has finished, so nothing is touched afterwards.
void Command::Work::completed() noexcept {
    while (!unit->advance(*command)) {
        ++step;
        if (unit->device_of(*command).start(*this) == Started::pending) return;
    }
    const std::shared_ptr<LogicalUnit> keep = unit;
    unit->leave(*command);
    command->finished();
}

/// Whoever was waiting at the gate and is in now was told to wait, so it is told of its end.
void LogicalUnit::leave(Command& command) {
    for (Command* next : gate_.leave(pass_of(command.work_.entry->operation))) {
        if (perform(*next) == Started::completed) next->finished();
    }
}

storage::BlockDevice& LogicalUnit::device_of(Command& command) noexcept {
    storage::BlockDevice* elsewhere = command.work_.elsewhere;
    return elsewhere != nullptr ? *elsewhere : *device_;
}

// The step counts requests started so far. Each kind of command says here what its next request is, or that it has ended.
bool LogicalUnit::advance(Command& command) {
    Command::Work& work = command.work_;
    if (work.step != 0 && work.error) {
        fail_by_device(command, work);
        if (!work.segments.empty()) note_copy(command);
        return true;
    }
    work.elsewhere = nullptr;
    switch (work.entry->operation) {
        case Operation::read: return next_read(command);
        case Operation::write:
        case Operation::write_and_verify: return next_write(command);
        case Operation::verify: return next_verify(command);
        case Operation::prefetch: return next_prefetch(command);
        case Operation::compare_and_write: return next_compare_and_write(command);
        case Operation::or_write: return next_or_write(command);
        case Operation::get_lba_status: return next_lba_status(command);
        case Operation::extended_copy: return next_copy(command);
        case Operation::write_same: return next_write_same(command);
        case Operation::unmap: return next_unmap(command);
        default: return next_flush(command);
    }
}

bool LogicalUnit::reports_attention(Command& command) {
    if (command.nexus == nullptr) return false;
    const auto attention = attentions_.take(command.nexus->id);
    if (!attention) return false;
    command.fail(SenseKey::unit_attention, *attention);
    return true;
}

}  // namespace diskless::scsi
