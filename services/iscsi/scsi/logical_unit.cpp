#include "services/iscsi/scsi/logical_unit.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "services/iscsi/scsi/block_commands.hpp"
#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

using Direction = Transfer::Direction;
using storage::Started;

std::uint64_t allocation_length(const Command& command, Operation operation) noexcept {
    const ByteSpan cdb = command.cdb;
    switch (operation) {
        case Operation::inquiry: return load_be<std::uint16_t>(cdb, 3);
        case Operation::request_sense: return load_be<std::uint8_t>(cdb, 4);
        case Operation::mode_sense:
            return load_be<std::uint8_t>(cdb, 0) == 0x5a ? load_be<std::uint16_t>(cdb, 7) : load_be<std::uint8_t>(cdb, 4);
        case Operation::read_capacity_10: return 8;
        case Operation::read_capacity_16: return load_be<std::uint32_t>(cdb, 10);
        default: return load_be<std::uint32_t>(cdb, 6);  // REPORT LUNS and the reports of A3h
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
        case Operation::write_same: return true;
        default: return false;
    }
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
        write_standard_inquiry(out, true);
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

LogicalUnit::LogicalUnit(std::shared_ptr<storage::BlockDevice> device, Identity identity)
    : device_{std::move(device)}, identity_{std::move(identity)} {}

std::optional<Transfer> LogicalUnit::examine(Command& command) {
    bool knows_opcode = false;
    const CommandEntry* entry = find_command(command.cdb, knows_opcode);
    const bool attention_waits = pending_attentions_.load(std::memory_order_acquire) != 0;
    if (attention_waits && !(entry != nullptr && passes_attention(entry->operation)) && reports_attention(command)) return std::nullopt;
    if (entry == nullptr) {
        if (knows_opcode) {
            command.fail_field(1);
        } else {
            command.fail(SenseKey::illegal_request, asc::invalid_command_operation_code);
        }
        return std::nullopt;
    }
    if ((load_be<std::uint8_t>(command.cdb, entry->cdb_bytes - 1u) & 0x04) != 0) {  // NACA: auto contingent allegiance is not supported
        command.fail_field(static_cast<std::uint16_t>(entry->cdb_bytes - 1));
        return std::nullopt;
    }
    if (is_block_command(entry->operation)) return examine_blocks(command, *entry);
    switch (entry->operation) {
        case Operation::test_unit_ready:
        case Operation::start_stop_unit: return Transfer{};
        case Operation::prevent_allow_medium_removal: return Transfer{};
        default: {
            const std::uint64_t length = std::min(allocation_length(command, entry->operation), max_parameter_bytes);
            return Transfer{length == 0 ? Direction::none : Direction::data_in, length};
        }
    }
}

std::optional<Transfer> LogicalUnit::examine_blocks(Command& command, const CommandEntry& entry) {
    const bool writes =
        entry.operation != Operation::read && entry.operation != Operation::verify && entry.operation != Operation::synchronize_cache;
    if (writes && write_protected_.load(std::memory_order_relaxed)) {
        command.fail(SenseKey::data_protect, asc::write_protected);
        return std::nullopt;
    }
    return examine_block_command(command, entry, device_->geometry());
}

Started LogicalUnit::execute(Command& command) {
    bool knows_opcode = false;
    const CommandEntry* entry = find_command(command.cdb, knows_opcode);
    if (is_block_command(entry->operation)) return start(command);
    const storage::Geometry& geometry = device_->geometry();
    switch (entry->operation) {
        case Operation::inquiry: inquiry(command, identity_, geometry); break;
        case Operation::request_sense: request_sense(command); break;
        case Operation::mode_sense: mode_sense(command, geometry, mode()); break;
        case Operation::read_capacity_10:
        case Operation::read_capacity_16: read_capacity(command, entry->operation, geometry); break;
        case Operation::report_supported_operation_codes: report_supported_operation_codes(command, geometry.can_discard); break;
        case Operation::report_supported_task_management_functions: report_supported_task_management_functions(command); break;
        default: break;  // TEST UNIT READY, START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL: a fixed disk that is always there
    }
    return Started::completed;
}

Started LogicalUnit::start(Command& command) {
    command.work_.step = 0;
    command.work_.error.clear();
    // advance() prepares one device request after the other. All of them may complete at once: then no stack grows and nothing is pending.
    while (!advance(command)) {
        ++command.work_.step;
        if (device_->start(command.work_) == Started::pending) return Started::pending;
    }
    return Started::completed;
}

// On whatever thread the device chose. The command may be gone once it has finished, so nothing is touched afterwards.
void Command::Work::completed() noexcept {
    while (!unit->advance(*command)) {
        ++step;
        if (unit->device_->start(*this) == Started::pending) return;
    }
    command->finished();
}

// The step counts requests started so far. Each kind of command says here what its next request is, or that it has ended.
bool LogicalUnit::advance(Command& command) {
    Command::Work& work = command.work_;
    if (work.step != 0 && work.error) {
        fail_by_device(command, work);
        return true;
    }
    bool knows_opcode = false;
    const Operation operation = find_command(command.cdb, knows_opcode)->operation;
    switch (operation) {
        case Operation::read: return next_read(command);
        case Operation::write:
        case Operation::write_and_verify: return next_write(command);
        case Operation::verify: return next_verify(command);
        case Operation::write_same: return next_write_same(command);
        case Operation::unmap: return next_unmap(command);
        default: return next_flush(command);
    }
}

bool LogicalUnit::reports_attention(Command& command) {
    if (command.nexus == nullptr) return false;
    const auto attention = take_attention(command.nexus->id);
    if (!attention) return false;
    command.fail(SenseKey::unit_attention, *attention);
    return true;
}

std::optional<std::uint16_t> LogicalUnit::take_attention(std::uint64_t nexus) {
    const std::lock_guard lock{mutex_};
    const auto found = attentions_.find(nexus);
    if (found == attentions_.end() || found->second.empty()) return std::nullopt;
    const std::uint16_t oldest = found->second.front();
    found->second.erase(found->second.begin());
    pending_attentions_.fetch_sub(1, std::memory_order_release);
    return oldest;
}

void LogicalUnit::post_attention(std::uint64_t nexus, std::uint16_t asc_ascq) {
    const std::lock_guard lock{mutex_};
    const auto found = attentions_.find(nexus);
    if (found == attentions_.end() || found->second.size() >= max_attentions ||
        std::ranges::find(found->second, asc_ascq) != found->second.end())
        return;
    found->second.push_back(asc_ascq);
    pending_attentions_.fetch_add(1, std::memory_order_release);
}

void LogicalUnit::withdraw_attention(const ITNexus& nexus, std::uint16_t asc_ascq) {
    if (pending_attentions_.load(std::memory_order_acquire) == 0) return;
    const std::lock_guard lock{mutex_};
    if (const auto found = attentions_.find(nexus.id); found != attentions_.end()) {
        pending_attentions_.fetch_sub(std::erase(found->second, asc_ascq), std::memory_order_release);
    }
}

void LogicalUnit::post_attention_to_others(const ITNexus* except, std::uint16_t asc_ascq) {
    std::vector<std::uint64_t> nexuses;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [nexus, queue] : attentions_) {
            if (except == nullptr || nexus != except->id) nexuses.push_back(nexus);
        }
    }
    for (const std::uint64_t nexus : nexuses) post_attention(nexus, asc_ascq);
}

void LogicalUnit::attach(const ITNexus& nexus) {
    {
        const std::lock_guard lock{mutex_};
        attentions_.try_emplace(nexus.id);
    }
    post_attention(nexus.id, asc::power_on_or_reset);
}

void LogicalUnit::detach(const ITNexus& nexus) {
    const std::lock_guard lock{mutex_};
    if (const auto found = attentions_.find(nexus.id); found != attentions_.end()) {
        pending_attentions_.fetch_sub(found->second.size(), std::memory_order_release);
        attentions_.erase(found);
    }
}

void LogicalUnit::reset(const ITNexus* by) {
    {
        const std::lock_guard lock{mutex_};
        mode_ = {};
        write_protected_.store(false, std::memory_order_relaxed);
    }
    post_attention_to_others(by, asc::bus_device_reset_function_occurred);
}

ModeState LogicalUnit::mode() const {
    const std::lock_guard lock{mutex_};
    return mode_;
}

// SPC-4 6.39: a pending unit attention is reported here and cleared; the command itself is GOOD.
void LogicalUnit::request_sense(Command& command) {
    Sense sense;
    if (command.nexus != nullptr && pending_attentions_.load(std::memory_order_acquire) != 0) {
        if (const auto attention = take_attention(command.nexus->id)) sense = {.key = SenseKey::unit_attention, .asc_ascq = *attention};
    }
    const bool descriptor_format = (load_be<std::uint8_t>(command.cdb, 1) & 1) != 0;
    answer(command, encode_sense(sense, descriptor_format).span());
}

}  // namespace diskless::scsi
