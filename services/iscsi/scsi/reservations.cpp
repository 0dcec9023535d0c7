#include "services/iscsi/scsi/reservations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

constexpr std::size_t parameter_list_bytes = 24;
constexpr std::uint8_t iscsi_transport_id = 0x45;  // format 01b: name and ISID; protocol 5 (SPC-4 7.6.4.6)

enum class Out : std::uint8_t {
    register_key,
    reserve,
    release,
    clear,
    preempt,
    preempt_and_abort,
    register_and_ignore_existing_key,
    register_and_move,
};
enum class In : std::uint8_t { read_keys, read_reservation, report_capabilities, read_full_status };

/// How a command fares under somebody else's reservation.
enum class Kind : std::uint8_t { always, reads, writes };

Kind kind_of(const CommandEntry& entry, ByteSpan cdb) noexcept {
    switch (entry.operation) {
        case Operation::test_unit_ready:
        case Operation::request_sense:
        case Operation::inquiry:
        case Operation::report_luns:
        case Operation::read_capacity_10:
        case Operation::read_capacity_16:
        case Operation::report_supported_operation_codes:
        case Operation::report_supported_task_management_functions:
        case Operation::report_target_port_groups:
        case Operation::persistent_reserve_in:
        case Operation::persistent_reserve_out: return Kind::always;
        case Operation::start_stop_unit: return (load_be<std::uint8_t>(cdb, 4) & 0xf1) == 1 ? Kind::always : Kind::writes;
        case Operation::prevent_allow_medium_removal: return (load_be<std::uint8_t>(cdb, 4) & 3) == 0 ? Kind::always : Kind::writes;
        case Operation::read:
        case Operation::verify:
        case Operation::prefetch:
        case Operation::mode_sense:
        case Operation::get_lba_status:
        case Operation::read_defect_data:
        case Operation::receive_copy_results: return Kind::reads;
        default: return Kind::writes;
    }
}

bool is_exclusive_access(ReservationType type) noexcept {
    return type == ReservationType::exclusive_access || type == ReservationType::exclusive_access_registrants_only ||
           type == ReservationType::exclusive_access_all_registrants;
}
bool is_for_all_registrants(ReservationType type) noexcept {
    return type == ReservationType::write_exclusive_all_registrants || type == ReservationType::exclusive_access_all_registrants;
}
bool is_for_registrants(ReservationType type) noexcept {
    return is_for_all_registrants(type) || type == ReservationType::write_exclusive_registrants_only ||
           type == ReservationType::exclusive_access_registrants_only;
}

std::optional<ReservationType> type_of(std::uint8_t scope_and_type) noexcept {
    const auto type = static_cast<std::uint8_t>(scope_and_type & 0x0f);
    if (scope_and_type >> 4 != 0 || type == 0 || type == 2 || type == 4 || type > 8) return std::nullopt;  // scope: the logical unit
    return static_cast<ReservationType>(type);
}

/// The initiator port that an iSCSI TransportID names (SPC-4 7.6.4.6); nothing: none that could be one of ours.
std::optional<std::string> initiator_port_of(ByteSpan transport_id) {
    constexpr std::size_t header_bytes = 4;
    if (transport_id.size() < header_bytes || load_be<std::uint8_t>(transport_id, 0) != iscsi_transport_id) return std::nullopt;
    if (transport_id.size() != header_bytes + load_be<std::uint16_t>(transport_id, 2)) return std::nullopt;
    std::string_view name = as_text(transport_id.subspan(header_bytes));
    name = name.substr(0, name.find('\0'));
    constexpr std::size_t longest = 223 + std::string_view{",i,0x"}.size() + 12;
    const bool printable = std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; });
    if (!printable || name.size() > longest || name.find(",i,0x") == std::string_view::npos) return std::nullopt;
    return std::string{name};
}

void conflict(Command& command) noexcept { command.status = Status::reservation_conflict; }

}  // namespace

struct Reservations::Order {
    const std::string& initiator_port;
    std::uint64_t key;         // RESERVATION KEY: who says so
    std::uint64_t action_key;  // SERVICE ACTION RESERVATION KEY
    std::uint8_t scope_and_type;
    bool persist;  // APTPL
};

Registration* Reservations::registration_of(const std::string& initiator_port) {
    const auto found = std::ranges::find(state_.registrations, initiator_port, &Registration::initiator_port);
    return found == state_.registrations.end() ? nullptr : &*found;
}

const Registration* Reservations::registration_of(const std::string& initiator_port) const {
    const auto found = std::ranges::find(state_.registrations, initiator_port, &Registration::initiator_port);
    return found == state_.registrations.end() ? nullptr : &*found;
}

bool Reservations::all_registrants() const noexcept { return state_.type && is_for_all_registrants(*state_.type); }

bool Reservations::is_holder(const std::string& initiator_port) const {
    if (!state_.type) return false;
    return all_registrants() ? registration_of(initiator_port) != nullptr : state_.holder == initiator_port;
}

bool Reservations::conflicts(const ITNexus& nexus, const CommandEntry& entry, ByteSpan cdb) const {
    const Operation operation = entry.operation;
    if (reserved_by_ && *reserved_by_ != nexus.id) {
        const bool allowed = operation == Operation::inquiry || operation == Operation::request_sense ||
                             operation == Operation::report_luns || operation == Operation::release;
        return !allowed;
    }
    const bool spc2 = operation == Operation::reserve || operation == Operation::release;
    if (spc2 && !state_.registrations.empty()) return true;  // SPC-2 5.5.1: one or the other
    if (!state_.type || is_holder(nexus.initiator_port)) return false;
    const Kind kind = kind_of(entry, cdb);
    if (kind == Kind::always) return false;
    if (is_for_registrants(*state_.type) && registration_of(nexus.initiator_port) != nullptr) return false;
    return kind == Kind::writes || is_exclusive_access(*state_.type);
}

bool Reservations::reserve(const ITNexus& nexus) {
    if (reserved_by_ && *reserved_by_ != nexus.id) return false;
    reserved_by_ = nexus.id;
    return true;
}

void Reservations::release(const ITNexus& nexus) { nexus_lost(nexus.id); }

void Reservations::nexus_lost(std::uint64_t nexus) {
    if (reserved_by_ == nexus) reserved_by_.reset();
}

void Reservations::tell_others(const std::string& self, std::uint16_t asc_ascq, Effects& effects) const {
    for (const Registration& registration : state_.registrations) {
        if (registration.initiator_port != self) effects.notices.push_back({registration.initiator_port, asc_ascq});
    }
}

// --- PERSISTENT RESERVE OUT ------------------------------------------------------------------------------------------------------------

Reservations::Effects Reservations::persistent_reserve_out(Command& command) {
    Effects effects;
    const auto action = static_cast<Out>(load_be<std::uint8_t>(command.cdb, 1) & 0x1f);
    if (action == Out::register_and_move) {
        register_and_move(command, effects);
        return effects;
    }
    if (load_be<std::uint32_t>(command.cdb, 5) != parameter_list_bytes || command.data.size() < parameter_list_bytes) {
        command.fail(SenseKey::illegal_request, asc::parameter_list_length_error);
        return effects;
    }
    const auto flags = load_be<std::uint8_t>(command.data, 20);
    constexpr std::uint8_t specify_initiator_ports = 0x08;
    if ((flags & specify_initiator_ports) != 0) {
        command.fail(SenseKey::illegal_request, asc::invalid_field_in_parameter_list);
        return effects;
    }
    const Order order{.initiator_port = command.nexus->initiator_port,
                      .key = load_be<std::uint64_t>(command.data, 0),
                      .action_key = load_be<std::uint64_t>(command.data, 8),
                      .scope_and_type = load_be<std::uint8_t>(command.cdb, 2),
                      .persist = (flags & 0x01) != 0};
    if (action == Out::register_key || action == Out::register_and_ignore_existing_key) {
        register_key(command, order, action == Out::register_and_ignore_existing_key, effects);
        return effects;
    }
    const Registration* own = registration_of(order.initiator_port);
    if (own == nullptr || own->key != order.key) {
        conflict(command);
        return effects;
    }
    switch (action) {
        case Out::reserve: reserve_persistently(command, order, effects); break;
        case Out::release: release_persistently(command, order, effects); break;
        case Out::clear: clear(order, effects); break;
        case Out::preempt: preempt(command, order, false, effects); break;
        default: preempt(command, order, true, effects); break;
    }
    return effects;
}

void Reservations::register_key(Command& command, const Order& order, bool ignore_existing, Effects& effects) {
    Registration* own = registration_of(order.initiator_port);
    if (!ignore_existing && order.key != (own != nullptr ? own->key : 0)) return conflict(command);
    if (own == nullptr && order.action_key == 0) return;
    if (own == nullptr && state_.registrations.size() >= max_registrations)
        return command.fail(SenseKey::illegal_request, asc::insufficient_registration_resources);
    effects.changed = true;
    ++state_.generation;
    state_.persists = order.persist;
    if (order.action_key == 0) return unregister(order.initiator_port, effects);
    if (own != nullptr) {
        own->key = order.action_key;
    } else {
        state_.registrations.push_back({order.initiator_port, order.action_key});
    }
}

// SPC-4 5.13.8, 6.16.4: the reservation goes to another port, which is registered by the way.
void Reservations::register_and_move(Command& command, Effects& effects) {
    const std::size_t length = load_be<std::uint32_t>(command.cdb, 5);
    if (length < parameter_list_bytes || command.data.size() < length ||
        length != parameter_list_bytes + load_be<std::uint32_t>(command.data, 20))
        return command.fail(SenseKey::illegal_request, asc::parameter_list_length_error);
    const std::string& self = command.nexus->initiator_port;
    const auto key = load_be<std::uint64_t>(command.data, 8);
    const auto flags = load_be<std::uint8_t>(command.data, 17);
    Registration* own = registration_of(self);
    if (own == nullptr || own->key != load_be<std::uint64_t>(command.data, 0)) return conflict(command);
    if (!state_.type) return command.fail_field(1);
    if (all_registrants() || state_.holder != self) return conflict(command);
    const auto to = initiator_port_of(command.data.subspan(parameter_list_bytes, length - parameter_list_bytes));
    constexpr std::uint16_t our_target_port = 1;
    if (!to || *to == self || key == 0 || load_be<std::uint16_t>(command.data, 18) != our_target_port)
        return command.fail(SenseKey::illegal_request, asc::invalid_field_in_parameter_list);
    Registration* known = registration_of(*to);
    if (known == nullptr && state_.registrations.size() >= max_registrations)
        return command.fail(SenseKey::illegal_request, asc::insufficient_registration_resources);
    effects.changed = true;
    ++state_.generation;
    state_.persists = (flags & 0x01) != 0;
    if (known != nullptr) {
        known->key = key;
    } else {
        state_.registrations.push_back({*to, key});
    }
    state_.holder = *to;
    if ((flags & 0x02) != 0) unregister(self, effects);
}

// SPC-4 5.13.11.3: with the holder its reservation goes; where registrants shared it, they are told.
void Reservations::unregister(const std::string& initiator_port, Effects& effects) {
    const bool held = is_holder(initiator_port);
    std::erase_if(state_.registrations, [&](const Registration& r) { return r.initiator_port == initiator_port; });
    if (!held || (all_registrants() && !state_.registrations.empty())) return;
    if (is_for_registrants(*state_.type)) tell_others(initiator_port, asc::reservations_released, effects);
    state_.type.reset();
    state_.holder.clear();
}

void Reservations::reserve_persistently(Command& command, const Order& order, Effects& effects) {
    const auto type = type_of(order.scope_and_type);
    if (!type) return command.fail_field(2);
    if (!state_.type) {
        effects.changed = true;
        state_.type = type;
        state_.holder = order.initiator_port;
    } else if (!is_holder(order.initiator_port) || state_.type != type) {
        conflict(command);
    }
}

void Reservations::release_persistently(Command& command, const Order& order, Effects& effects) {
    if (!is_holder(order.initiator_port)) return;  // SPC-4 5.13.11.2: nothing to release is GOOD
    const auto type = type_of(order.scope_and_type);
    if (state_.type != type) return command.fail(SenseKey::illegal_request, asc::invalid_release_of_persistent_reservation);
    if (is_for_registrants(*state_.type)) tell_others(order.initiator_port, asc::reservations_released, effects);
    effects.changed = true;
    state_.type.reset();
    state_.holder.clear();
}

void Reservations::clear(const Order& order, Effects& effects) {
    tell_others(order.initiator_port, asc::reservations_preempted, effects);
    effects.changed = true;
    ++state_.generation;
    state_.registrations.clear();
    state_.type.reset();
    state_.holder.clear();
}

/// False: nobody has that key.
bool Reservations::remove_registrations(const Order& order, std::uint64_t key, bool abort, Effects& effects) {
    const bool all_others = key == 0;
    bool found = false;
    for (auto it = state_.registrations.begin(); it != state_.registrations.end();) {
        if (!all_others && it->key != key) {
            ++it;
            continue;
        }
        found = true;
        if (it->initiator_port == order.initiator_port) {
            ++it;  // whoever preempts stays registered
            continue;
        }
        effects.notices.push_back({it->initiator_port, asc::registrations_preempted});
        if (abort) effects.aborted.push_back(it->initiator_port);
        it = state_.registrations.erase(it);
    }
    return found;
}

// SPC-4 5.13.11.4 and its figure: either the reservation is taken over, or only registrations go.
void Reservations::preempt(Command& command, const Order& order, bool abort, Effects& effects) {
    const Registration* holder = state_.type && !all_registrants() ? registration_of(state_.holder) : nullptr;
    const bool takes_over = all_registrants() ? order.action_key == 0 : holder != nullptr && holder->key == order.action_key;
    if (order.action_key == 0 && !takes_over) return command.fail(SenseKey::illegal_request, asc::invalid_field_in_parameter_list);
    if (!takes_over) {
        if (!remove_registrations(order, order.action_key, abort, effects)) return conflict(command);
    } else {
        const auto type = type_of(order.scope_and_type);
        if (!type) return command.fail_field(2);
        remove_registrations(order, order.action_key, abort, effects);
        if (state_.type != type && is_for_registrants(*state_.type)) tell_others(order.initiator_port, asc::reservations_released, effects);
        state_.type = type;
        state_.holder = order.initiator_port;
    }
    effects.changed = true;
    ++state_.generation;
    if (all_registrants() && state_.registrations.empty()) state_.type.reset();
}

// --- PERSISTENT RESERVE IN -------------------------------------------------------------------------------------------------------------

void Reservations::persistent_reserve_in(Command& command) const {
    std::vector<std::byte> room(24 + state_.registrations.size() * 300);
    ByteWriter out{room};
    out.be(state_.generation);
    switch (static_cast<In>(load_be<std::uint8_t>(command.cdb, 1) & 0x1f)) {
        case In::read_keys:
            out.be(static_cast<std::uint32_t>(state_.registrations.size() * 8));
            for (const Registration& registration : state_.registrations) out.be(registration.key);
            break;
        case In::read_reservation: {
            const Registration* holder = all_registrants() ? nullptr : registration_of(state_.holder);
            out.be<std::uint32_t>(state_.type ? 16 : 0);
            if (!state_.type) break;
            out.be<std::uint64_t>(holder != nullptr ? holder->key : 0);  // of all registrants: 0
            out.zeros(5);
            out.u8(static_cast<std::uint8_t>(*state_.type));
            out.zeros(2);
            break;
        }
        case In::report_capabilities:
            room.assign(8, std::byte{0});
            store_be<std::uint16_t>(room, 0, 8);
            store_be<std::uint8_t>(room, 2, 0x01);                                                         // PTPL_C
            store_be<std::uint8_t>(room, 3, static_cast<std::uint8_t>(0x80 | (state_.persists ? 1 : 0)));  // TMV, PTPL_A
            store_be<std::uint16_t>(room, 4, 0xea01);                                                      // all six types
            return answer(command, room);
        case In::read_full_status: read_full_status(out); break;
    }
    answer(command, out.written());
}

void Reservations::read_full_status(ByteWriter& out) const {
    std::size_t length = 0;
    const auto name_bytes = [](const Registration& r) { return (r.initiator_port.size() / 4 + 1) * 4; };
    for (const Registration& registration : state_.registrations) length += 24 + 4 + name_bytes(registration);
    out.be(static_cast<std::uint32_t>(length));
    for (const Registration& registration : state_.registrations) {
        const bool holds = is_holder(registration.initiator_port);
        out.be(registration.key);
        out.zeros(4);
        out.u8(holds ? 1 : 0);
        out.u8(holds ? static_cast<std::uint8_t>(*state_.type) : 0);
        out.zeros(4);
        out.be<std::uint16_t>(1);  // relative target port
        out.be(static_cast<std::uint32_t>(4 + name_bytes(registration)));
        out.u8(iscsi_transport_id);
        out.u8(0);
        out.be(static_cast<std::uint16_t>(name_bytes(registration)));
        out.text(registration.initiator_port);
        out.zeros(name_bytes(registration) - registration.initiator_port.size());
    }
}

// --- the store -------------------------------------------------------------------------------------------------------------------------

std::string print_persistent_state(const PersistentState& state) {
    const unsigned type = state.type ? static_cast<unsigned>(*state.type) : 0;
    std::string text = fmt::format("{} {} {}\n", state.generation, type, state.holder);
    for (const Registration& registration : state.registrations)
        text += fmt::format("{:016x} {}\n", registration.key, registration.initiator_port);
    return text;
}

std::optional<PersistentState> parse_persistent_state(std::string_view text) {
    PersistentState state{.persists = true};
    bool first = true;
    for (; !text.empty(); first = false) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const std::size_t space = line.find(' ');
        if (space == std::string_view::npos) return std::nullopt;
        const std::string_view number = line.substr(0, space);
        std::string_view rest = line.substr(space + 1);
        if (!first) {
            Registration registration;
            const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), registration.key, 16);
            if (ec != std::errc{}) return std::nullopt;
            registration.initiator_port = rest;
            state.registrations.push_back(std::move(registration));
            continue;
        }
        if (std::from_chars(number.data(), number.data() + number.size(), state.generation).ec != std::errc{} || rest.size() < 2)
            return std::nullopt;
        const auto type = static_cast<std::uint8_t>(rest.front() - '0');
        if (type != 0) {
            state.type = type_of(type);
            if (!state.type) return std::nullopt;
        }
        state.holder = rest.substr(2);
    }
    return state;
}

}  // namespace diskless::scsi
