// LogicalUnit: commands that are about the unit and not about its blocks.
#include <algorithm>

#include "services/iscsi/scsi/logical_unit.hpp"
#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sanitizer.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {

using storage::Started;

void LogicalUnit::attach(const ITNexus& nexus) {
    attentions_.attach(nexus);
    attentions_.post(nexus.id, asc::power_on_or_reset);
}

void LogicalUnit::detach(const ITNexus& nexus) {
    attentions_.detach(nexus);
    if (!book_->empty()) book_->with([&](Reservations& r) { r.nexus_lost(nexus.id); });
    const std::lock_guard lock{mutex_};
    medium_.allow(nexus.id);
}

void LogicalUnit::reset() {
    {
        const std::lock_guard lock{mutex_};
        mode_ = {};
        write_protected_ = false;
        descriptor_sense_ = false;
        medium_.allow_all();
    }
    book_->with([](Reservations& r) { r.reset(); });
    // SAM-5 6.3.3: whoever asked for it is told as well.
    attentions_.post_to_others(nullptr, asc::bus_device_reset_function_occurred);
}

ModeState LogicalUnit::mode() const {
    const std::lock_guard lock{mutex_};
    return mode_;
}

// SPC-4 6.39: a pending unit attention is reported here and cleared, else how far a sanitize operation is; the command itself is GOOD.
void LogicalUnit::request_sense(Command& command) {
    Sense sense;
    if (const std::uint32_t progress = sanitized_; progress != not_sanitizing) {
        sense = {.key = SenseKey::not_ready, .asc_ascq = asc::sanitize_in_progress, .specific = 0x800000 | std::min(progress, 0xffffu)};
    } else if (command.nexus != nullptr && !attentions_.none()) {
        if (const auto attention = attentions_.take(command.nexus->id)) sense = {.key = SenseKey::unit_attention, .asc_ascq = *attention};
    }
    if (sense.key == SenseKey::no_sense && medium_.is_out()) sense = {.key = SenseKey::not_ready, .asc_ascq = asc::medium_not_present};
    const bool descriptor_format = (load_be<std::uint8_t>(command.cdb, 1) & 1) != 0;
    answer(command, encode_sense(sense, descriptor_format).span());
}

void LogicalUnit::select_mode(Command& command) {
    const ModeState before = mode();
    const auto after = mode_select(command, geometry(), before);
    if (!after || *after == before) return;
    {
        const std::lock_guard lock{mutex_};
        mode_ = *after;
        write_protected_ = after->software_write_protect;
        descriptor_sense_ = after->descriptor_sense;
    }
    attentions_.post_to_others(command.nexus, asc::mode_parameters_changed);
}

// SBC-3 5.25. Starting and stopping is nothing to a disk in a file; loading and ejecting is, where the medium is removable.
void LogicalUnit::start_stop(Command& command) {
    const auto how = load_be<std::uint8_t>(command.cdb, 4);
    const bool power_condition = (how & 0xf0) != 0;
    const bool load_or_eject = (how & 0x02) != 0;
    const bool start = (how & 0x01) != 0;
    if (power_condition || !load_or_eject) return;
    if (!identity_.removable) return command.fail_field(4);
    {
        const std::lock_guard lock{mutex_};
        if (medium_.locked()) return command.fail(SenseKey::illegal_request, asc::medium_removal_prevented);
    }
    if (!start) return medium_.eject();
    if (medium_.load()) attentions_.post_to_others(command.nexus, asc::medium_may_have_changed);
}

void LogicalUnit::prevent_allow(Command& command) {
    const unsigned prevent = load_be<std::uint8_t>(command.cdb, 4) & 3;
    if (command.nexus == nullptr || !identity_.removable) return;
    const std::lock_guard lock{mutex_};
    (prevent & 1) != 0 ? medium_.prevent(command.nexus->id) : medium_.allow(command.nexus->id);
}

// EXTENDED COPY is addressed to one unit and touches others: each has its own say.
bool LogicalUnit::admits_copy(Command& command, bool writes) {
    std::array<std::byte, 16> cdb{};
    cdb[0] = std::byte{writes ? std::uint8_t{0x8a} : std::uint8_t{0x88}};  // as READ(16) or WRITE(16) would be treated
    bool knows_opcode = false;
    const CommandEntry& entry = *find_command(cdb, knows_opcode);
    if (!book_->empty() && command.nexus != nullptr &&
        book_->with([&](Reservations& r) { return r.conflicts(*command.nexus, entry, cdb); })) {
        command.status = Status::reservation_conflict;
    } else if (sanitized_ != not_sanitizing || medium_.is_out()) {
        command.fail(SenseKey::copy_aborted, asc::copy_target_device_not_reachable);
    } else if (writes && (write_protected_ || geometry().read_only)) {
        command.fail(SenseKey::data_protect, asc::write_protected);
    } else {
        return true;
    }
    return false;
}

void LogicalUnit::reserve(Command& command) {
    if (command.nexus == nullptr) return;
    if (!book_->with([&](Reservations& r) { return r.reserve(*command.nexus); })) command.status = Status::reservation_conflict;
}

void LogicalUnit::release(Command& command) {
    if (command.nexus != nullptr) book_->with([&](Reservations& r) { r.release(*command.nexus); });
}

// The answer waits until the new state is where it has to be.
Started LogicalUnit::persistent_reserve_out(Command& command) {
    if (command.nexus == nullptr) {
        command.fail(SenseKey::illegal_request, asc::invalid_command_operation_code);
        return Started::completed;
    }
    // All of it alone: states are saved in the order in which they came about.
    return book_->with([&](Reservations& reservations) {
        auto effects = reservations.persistent_reserve_out(command);
        for (const auto& notice : effects.notices) attentions_.post_to_port(notice.initiator_port, notice.asc_ascq);
        command.preempted = std::move(effects.aborted);
        const bool saving = effects.changed && book_->save(reservations.persistent(), [&command](bool durable) {
            if (!durable) command.fail(SenseKey::hardware_error, asc::internal_target_failure);
            command.finished();
        });
        return saving ? Started::pending : Started::completed;
    });
}

// A sanitize operation goes on whatever is aborted (SBC-3 4.11.3).
void LogicalUnit::let_go(Command& command) {
    {
        const std::lock_guard lock{mutex_};
        if (waits_for_sanitizer_ != &command) return;
        waits_for_sanitizer_ = nullptr;
    }
    command.finished();
}

// SBC-3 5.24
Started LogicalUnit::sanitize(Command& command) {
    const auto flags = load_be<std::uint8_t>(command.cdb, 1);
    const bool immediate = (flags & 0x80) != 0;
    const unsigned action = flags & 0x1f;
    constexpr unsigned exit_failure_mode = 0x1f;
    // Whoever wipes a disk is taken at every bit of his word.
    for (std::size_t at = 1; at < command.work_.entry->cdb_bytes; ++at) {
        if ((load_be<std::uint8_t>(command.cdb, at) & ~command.work_.entry->usage[at]) == 0) continue;
        command.fail_field(static_cast<std::uint16_t>(at));
        return Started::completed;
    }
    const bool takes_list = action == static_cast<unsigned>(Sanitizer::Method::overwrite);
    if (!takes_list && load_be<std::uint16_t>(command.cdb, 7) != 0) {
        command.fail_field(7);
        return Started::completed;
    }
    if (action == exit_failure_mode) return Started::completed;  // nothing fails for good here
    std::vector<std::byte> pattern;
    unsigned passes = 1;
    bool invert = false;
    if (takes_list) {
        const std::size_t block = geometry().logical_block_bytes;
        const std::size_t length = command.data.size() < 4 ? 0 : load_be<std::uint16_t>(command.data, 2);
        passes = command.data.size() < 4 ? 0 : load_be<std::uint8_t>(command.data, 0) & 0x1f;
        if (length == 0 || length > block || command.data.size() != length + 4 || passes == 0) {
            command.data.size()<5 || command.data.size()> block + 4
                ? command.fail_field(7)
                : command.fail(SenseKey::illegal_request, asc::invalid_field_in_parameter_list);
            return Started::completed;
        }
        invert = (load_be<std::uint8_t>(command.data, 0) & 0x80) != 0;
        pattern.assign(command.data.begin() + 4, command.data.end());
        pattern.resize(block);
        for (std::size_t at = length; at < block; ++at) pattern[at] = pattern[at % length];
    }
    const auto method = static_cast<Sanitizer::Method>(action);
    const Started started = Sanitizer::run(shared_from_this(), method, std::move(pattern), passes, invert, immediate ? nullptr : &command);
    return immediate ? Started::completed : started;
}

}  // namespace diskless::scsi
