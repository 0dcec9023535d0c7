#include "services/iscsi/scsi/lun_map.hpp"

#include <algorithm>

#include "services/iscsi/scsi/copy.hpp"
#include "services/iscsi/scsi/reports.hpp"
#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

using storage::Started;

void sort_by_lun(LunMap::Units& units) {
    std::ranges::sort(units, {}, [](const auto& unit) { return unit->identity().lun; });
}

Operation operation_of(const Command& command) {
    bool knows_opcode = false;
    const CommandEntry* entry = find_command(command.cdb, knows_opcode);
    return entry != nullptr ? entry->operation : Operation::test_unit_ready;
}

}  // namespace

LunMap::LunMap(Units units) : units_{std::move(units)} { sort_by_lun(units_); }

std::shared_ptr<LogicalUnit> LunMap::find(std::uint64_t lun) const {
    const std::lock_guard lock{mutex_};
    const auto found = std::ranges::lower_bound(units_, lun, {}, [](const auto& unit) { return std::uint64_t{unit->identity().lun}; });
    return found != units_.end() && (*found)->identity().lun == lun ? *found : nullptr;
}

std::optional<Transfer> LunMap::examine(Command& command) {
    command.work_.unit = find(command.lun);
    if (command.work_.unit == nullptr) return examine_absent(command);
    return command.work_.unit->examine(command);
}

Started LunMap::execute(Command& command) {
    if (command.work_.unit == nullptr) {
        if (operation_of(command) == Operation::report_luns) {
            report_luns(command);
        } else {
            execute_absent(command);
        }
        return Started::completed;
    }
    switch (command.work_.entry->operation) {
        case Operation::report_luns: report_luns(command); return Started::completed;
        case Operation::extended_copy: {
            auto segments = copy_segments(command, [this](ByteSpan designator) { return find_named(designator); });
            if (!segments) return Started::completed;
            command.work_.segments = std::move(*segments);
            break;
        }
        default: break;
    }
    return command.work_.unit->execute(command);
}

std::shared_ptr<LogicalUnit> LunMap::find_named(ByteSpan designator) const {
    const Units all = units();
    const auto found = std::ranges::find_if(all, [&](const auto& unit) { return is_designator_of(unit->identity(), designator); });
    return found == all.end() ? nullptr : *found;
}

// INQUIRY says that nothing is there, REQUEST SENSE says why, REPORT LUNS what there is instead; everything else fails.
std::optional<Transfer> LunMap::examine_absent(Command& command) {
    bool knows_opcode = false;
    const CommandEntry* entry = find_command(command.cdb, knows_opcode);
    if (entry != nullptr) {
        std::uint64_t length = 0;
        switch (entry->operation) {
            case Operation::inquiry: length = load_be<std::uint16_t>(command.cdb, 3); break;
            case Operation::request_sense: length = load_be<std::uint8_t>(command.cdb, 4); break;
            case Operation::report_luns: length = load_be<std::uint32_t>(command.cdb, 6); break;
            default: command.fail(SenseKey::illegal_request, asc::logical_unit_not_supported); return std::nullopt;
        }
        return Transfer{length == 0 ? Transfer::Direction::none : Transfer::Direction::data_in, std::min(length, max_parameter_bytes)};
    }
    command.fail(SenseKey::illegal_request, asc::logical_unit_not_supported);
    return std::nullopt;
}

void LunMap::execute_absent(Command& command) {
    if (operation_of(command) == Operation::request_sense) {
        const bool descriptor_format = (load_be<std::uint8_t>(command.cdb, 1) & 1) != 0;
        return answer(
            command,
            encode_sense({.key = SenseKey::illegal_request, .asc_ascq = asc::logical_unit_not_supported}, descriptor_format).span());
    }
    const bool vital = (load_be<std::uint8_t>(command.cdb, 1) & 1) != 0;
    if (vital || load_be<std::uint8_t>(command.cdb, 2) != 0) return command.fail_field(vital ? 1 : 2);
    std::array<std::byte, 128> room{};
    ByteWriter out{room};
    write_standard_inquiry(out, false);
    answer(command, out.written());
}

// SPC-4 6.33: select report 0 and 2 list all units, 1 the well-known ones, of which we have none.
void LunMap::report_luns(Command& command) {
    const auto select = load_be<std::uint8_t>(command.cdb, 2);
    if (load_be<std::uint32_t>(command.cdb, 6) < 16) return command.fail_field(6);
    if (select > 2) return command.fail_field(2);
    const Units all = units();
    // SPC-4 6.33: whoever reads the list has learnt that it has changed.
    for (const auto& unit : all) {
        if (command.nexus != nullptr) unit->attentions().withdraw(*command.nexus, asc::reported_luns_data_has_changed);
    }
    const Units listed = select == 1 ? Units{} : all;
    std::array<std::byte, max_parameter_bytes> room{};
    ByteWriter out{room};
    out.be(static_cast<std::uint32_t>(listed.size() * 8));
    out.zeros(4);
    for (const auto& unit : listed) {
        std::array<std::byte, 8> field{};
        encode_lun(field, unit->identity().lun);
        out.bytes(field);
    }
    answer(command, out.written());
}

void LunMap::attach(const ITNexus& nexus) {
    const std::lock_guard lock{mutex_};
    nexuses_.push_back(nexus);
    for (const auto& unit : units_) unit->attach(nexus);
}

void LunMap::detach(const ITNexus& nexus) {
    const std::lock_guard lock{mutex_};
    std::erase_if(nexuses_, [&](const ITNexus& n) { return n.id == nexus.id; });
    for (const auto& unit : units_) unit->detach(nexus);
}

void LunMap::post_to_thin(std::uint16_t asc_ascq) {
    for (const auto& unit : units()) {
        if (unit->device().geometry().can_discard) unit->attentions().post_to_others(nullptr, asc_ascq);
    }
}

void LunMap::replace(Units units) {
    sort_by_lun(units);
    const std::lock_guard lock{mutex_};
    if (units == units_) return;
    for (const auto& unit : units) {
        if (std::ranges::find(units_, unit) != units_.end()) continue;
        for (const ITNexus& nexus : nexuses_) unit->attach(nexus);
    }
    for (const auto& unit : units_) {
        if (std::ranges::find(units, unit) != units.end()) continue;
        for (const ITNexus& nexus : nexuses_) unit->detach(nexus);
    }
    units_ = std::move(units);
    for (const auto& unit : units_) unit->attentions().post_to_others(nullptr, asc::reported_luns_data_has_changed);
}

LunMap::Units LunMap::units() const {
    const std::lock_guard lock{mutex_};
    return units_;
}

bool LunMap::reset_unit(std::uint64_t lun) {
    const auto unit = find(lun);
    if (unit == nullptr) return false;
    unit->reset();
    return true;
}

void LunMap::reset_all() {
    for (const auto& unit : units()) unit->reset();
}

std::optional<std::uint64_t> LunMap::decode_lun(ByteSpan eight) noexcept {
    const auto first = load_be<std::uint16_t>(eight, 0);
    const bool single_level = load_be<std::uint16_t>(eight, 2) == 0 && load_be<std::uint32_t>(eight, 4) == 0;
    if (!single_level) return std::nullopt;
    switch (first >> 14) {
        case 0: return first <= 0xff ? std::optional<std::uint64_t>{first} : std::nullopt;  // peripheral device addressing, bus 0
        case 1: return first & 0x3fff;                                                      // flat space addressing
        default: return std::nullopt;
    }
}

void LunMap::encode_lun(MutableByteSpan eight, std::uint64_t lun) noexcept {
    std::ranges::fill(eight.first(8), std::byte{0});
    store_be(eight, 0, static_cast<std::uint16_t>(lun <= 0xff ? lun : 0x4000 | lun));
}

}  // namespace diskless::scsi
