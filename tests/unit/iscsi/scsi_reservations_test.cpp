// Reservations: who may do what under each type, and what orders tell others (SPC-4 5.13, SPC-2 5.5).
#include "services/iscsi/scsi/reservations.hpp"

#include <doctest/doctest.h>

#include <deque>

#include "services/iscsi/scsi/gate.hpp"
#include "services/iscsi/scsi/reservation_book.hpp"
#include "services/iscsi/scsi/sense.hpp"

using namespace diskless;
using namespace diskless::scsi;

namespace {

struct Order final : Command {
    Order(int action, const ITNexus& who, int type, std::uint64_t own_key, std::uint64_t action_key, int flags = 0) {
        bytes[0] = std::byte{0x5f};
        bytes[1] = static_cast<std::byte>(action);
        bytes[2] = static_cast<std::byte>(type);
        bytes[8] = std::byte{24};
        cdb = bytes;
        nexus = &who;
        store_be(MutableByteSpan{list}, 0, own_key);
        store_be(MutableByteSpan{list}, 8, action_key);
        list[20] = static_cast<std::byte>(flags);
        data = list;
    }
    void finished() noexcept override {}
    std::array<std::byte, 16> bytes{};
    std::array<std::byte, 24> list{};
};

enum : int { register_key, reserve, release, clear, preempt, preempt_and_abort, register_and_ignore };

const ITNexus holder{.id = 1, .initiator_port = "iqn.holder,i,0x1"};
const ITNexus registrant{.id = 2, .initiator_port = "iqn.registrant,i,0x2"};
const ITNexus stranger{.id = 3, .initiator_port = "iqn.stranger,i,0x3"};

Status order(Reservations& r, Order&& command, Reservations::Effects* effects = nullptr) {
    auto what = r.persistent_reserve_out(command);
    if (effects != nullptr) *effects = std::move(what);
    return command.status;
}

bool conflicts(const Reservations& r, const ITNexus& who, std::initializer_list<int> cdb) {
    std::array<std::byte, 16> bytes{};
    std::size_t i = 0;
    for (const int b : cdb) bytes[i++] = static_cast<std::byte>(b);
    bool knows = false;
    const CommandEntry* entry = find_command(bytes, knows);
    REQUIRE(entry != nullptr);
    return r.conflicts(who, *entry, bytes);
}

Reservations reserved(int type) {
    Reservations r;
    REQUIRE(order(r, {register_key, holder, 0, 0, 0x11}) == Status::good);
    REQUIRE(order(r, {register_key, registrant, 0, 0, 0x22}) == Status::good);
    REQUIRE(order(r, {reserve, holder, type, 0x11, 0}) == Status::good);
    return r;
}

}  // namespace

TEST_CASE("who may read and write under each type of reservation") {
    struct Row {
        int type;
        bool registrant_reads, registrant_writes, stranger_reads, stranger_writes;
    };
    constexpr std::array rows{
        Row{1, true, false, true, false},                                     // write exclusive
        Row{3, false, false, false, false}, Row{5, true, true, true, false},  // write exclusive, registrants only
        Row{6, true, true, false, false},   Row{7, true, true, true, false},  // all registrants
        Row{8, true, true, false, false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.type);
        const Reservations r = reserved(row.type);
        const auto reads = [&](const ITNexus& who) { return !conflicts(r, who, {0x28}); };
        const auto writes = [&](const ITNexus& who) { return !conflicts(r, who, {0x2a}); };
        CHECK(reads(holder));
        CHECK(writes(holder));
        CHECK(reads(registrant) == row.registrant_reads);
        CHECK(writes(registrant) == row.registrant_writes);
        CHECK(reads(stranger) == row.stranger_reads);
        CHECK(writes(stranger) == row.stranger_writes);
        // Every other way to change the medium is a write; what only asks about the unit is free to all.
        for (const int opcode : {0x89, 0x8b, 0x41, 0x42, 0x2e, 0x35, 0x15}) CHECK(conflicts(r, stranger, {opcode}));
        for (const int opcode : {0x12, 0xa0, 0x03, 0x00, 0x25}) CHECK_FALSE(conflicts(r, stranger, {opcode}));
    }
}

TEST_CASE("registering: the key has to be right, and zero takes it back") {
    Reservations r;
    CHECK(order(r, {register_key, holder, 0, 5, 0x11}) == Status::reservation_conflict);  // not registered: only 0 is right
    CHECK(order(r, {register_key, holder, 0, 0, 0x11}) == Status::good);
    CHECK(order(r, {register_key, holder, 0, 0, 0x12}) == Status::reservation_conflict);
    CHECK(order(r, {register_and_ignore, holder, 0, 0, 0x12}) == Status::good);
    CHECK(r.persistent().generation == 2);
    CHECK(order(r, {reserve, registrant, 1, 0, 0}) == Status::reservation_conflict);
    CHECK(order(r, {register_key, holder, 0, 0x12, 0}) == Status::good);
    CHECK(r.persistent().registrations.empty());
}

TEST_CASE("the end of a reservation that registrants share is told to the others, and to nobody else") {
    for (const bool by_release : {true, false}) {
        CAPTURE(by_release);
        Reservations r = reserved(5);
        Reservations::Effects effects;
        CHECK(order(r, {by_release ? release : register_key, holder, by_release ? 5 : 0, 0x11, 0}, &effects) == Status::good);
        REQUIRE(effects.notices.size() == 1);
        CHECK(effects.notices[0].initiator_port == registrant.initiator_port);
        CHECK(effects.notices[0].asc_ascq == asc::reservations_released);
        CHECK_FALSE(r.persistent().type);
    }
    Reservations exclusive = reserved(1);
    Reservations::Effects effects;
    CHECK(order(exclusive, {release, holder, 1, 0x11, 0}, &effects) == Status::good);
    CHECK(effects.notices.empty());
    Reservations wrong = reserved(1);
    CHECK(order(wrong, {release, holder, 3, 0x11, 0}) == Status::check_condition);
    CHECK(wrong.persistent().type);
}

TEST_CASE("a reservation of all registrants ends with the last of them") {
    Reservations r = reserved(7);
    CHECK(order(r, {register_key, holder, 0, 0x11, 0}) == Status::good);
    CHECK(r.persistent().type == ReservationType::write_exclusive_all_registrants);
    CHECK(order(r, {register_key, registrant, 0, 0x22, 0}) == Status::good);
    CHECK_FALSE(r.persistent().type);
}

TEST_CASE("preempting takes over the holder's reservation, and names whose commands are to be aborted") {
    Reservations r = reserved(1);
    Reservations::Effects effects;
    CHECK(order(r, {preempt_and_abort, registrant, 3, 0x22, 0x11}, &effects) == Status::good);
    CHECK(r.persistent().holder == registrant.initiator_port);
    CHECK(r.persistent().type == ReservationType::exclusive_access);
    CHECK(r.persistent().registrations.size() == 1);
    CHECK(effects.aborted == std::vector<std::string>{holder.initiator_port});
    REQUIRE(effects.notices.size() == 1);
    CHECK(effects.notices[0].asc_ascq == asc::registrations_preempted);
    CHECK(order(r, {preempt, registrant, 3, 0x22, 0x99}) == Status::reservation_conflict);  // nobody has that key
    CHECK(order(r, {preempt, registrant, 3, 0x22, 0}) == Status::check_condition);
}

TEST_CASE("RESERVE and RELEASE of SPC-2: everybody else waits, MODE SENSE too, until release or the session's end") {
    Reservations r;
    CHECK(r.reserve(holder));
    CHECK_FALSE(r.reserve(stranger));
    for (const int opcode : {0x28, 0x2a, 0x1a, 0x00, 0x16}) CHECK(conflicts(r, stranger, {opcode}));
    for (const int opcode : {0x12, 0xa0, 0x03, 0x17}) CHECK_FALSE(conflicts(r, stranger, {opcode}));
    r.release(stranger);
    CHECK_FALSE(r.reserve(stranger));
    r.nexus_lost(holder.id);
    CHECK(r.reserve(stranger));
    // One kind or the other.
    Reservations persistent = reserved(1);
    CHECK(conflicts(persistent, holder, {0x16}));
}

TEST_CASE("the state as text reads the same") {
    const Reservations r = reserved(6);
    PersistentState state = r.persistent();
    state.persists = true;
    CHECK(parse_persistent_state(print_persistent_state(state)) == state);
    for (const char* wrong : {"x", "1", "1 9 a\n", "1 1 a\nzz b\n"}) CHECK_FALSE(parse_persistent_state(wrong));
}

TEST_CASE("the gate: shared together, exclusive alone, in the order of arrival") {
    Gate gate;
    std::deque<Order> commands;
    for (int i = 0; i < 5; ++i) commands.emplace_back(0, holder, 0, 0, 0);
    CHECK(gate.enter(commands[0], Gate::Pass::shared));
    CHECK(gate.enter(commands[1], Gate::Pass::shared));
    CHECK_FALSE(gate.enter(commands[2], Gate::Pass::exclusive));
    CHECK_FALSE(gate.enter(commands[3], Gate::Pass::shared));
    CHECK_FALSE(gate.enter(commands[4], Gate::Pass::exclusive));
    CHECK(gate.leave(Gate::Pass::shared).empty());
    CHECK(gate.leave(Gate::Pass::shared) == std::vector<Command*>{&commands[2]});
    CHECK(gate.leave(Gate::Pass::exclusive) == std::vector<Command*>{&commands[3]});
    CHECK(gate.leave(Gate::Pass::shared) == std::vector<Command*>{&commands[4]});
    CHECK(gate.leave(Gate::Pass::exclusive).empty());
    CHECK(gate.enter(commands[0], Gate::Pass::shared));
}

TEST_CASE("REGISTER AND MOVE: the holder hands the reservation to another port") {
    const std::string name = "iqn.heir,i,0x800000000009";
    const ITNexus heir{.id = 4, .initiator_port = name};
    const auto move = [&](Reservations& r, const ITNexus& who, std::uint64_t own, std::uint64_t key, int flags, std::string_view to,
                          Reservations::Effects* effects = nullptr) {
        const std::size_t text = (to.size() / 4 + 1) * 4;
        std::vector<std::byte> list(24 + 4 + text);
        const MutableByteSpan out{list};
        store_be(out, 0, own);
        store_be(out, 8, key);
        list[17] = static_cast<std::byte>(flags);
        store_be<std::uint16_t>(out, 18, 1);
        store_be(out, 20, static_cast<std::uint32_t>(4 + text));
        list[24] = std::byte{0x45};
        store_be(out, 26, static_cast<std::uint16_t>(text));
        std::ranges::copy(as_bytes(to), list.begin() + 28);
        Order command{7, who, 0, own, key};
        store_be(MutableByteSpan{command.bytes}, 5, static_cast<std::uint32_t>(list.size()));
        command.data = list;
        return order(r, std::move(command), effects);
    };
    Reservations r = reserved(1);
    CHECK(move(r, stranger, 0, 0x99, 0, name) == Status::reservation_conflict);
    CHECK(move(r, registrant, 0x22, 0x99, 0, name) == Status::reservation_conflict);  // not the holder
    CHECK(move(r, holder, 0x11, 0, 0, name) == Status::check_condition);              // without a key
    CHECK(move(r, holder, 0x11, 0x99, 0, holder.initiator_port) == Status::check_condition);
    CHECK(move(r, holder, 0x11, 0x99, 0, "iqn.heir,i,0x1\nforged") == Status::check_condition);
    CHECK(conflicts(r, heir, {0x2a}));

    Reservations::Effects effects;
    CHECK(move(r, holder, 0x11, 0x99, 0x02, name, &effects) == Status::good);
    CHECK(effects.changed);
    CHECK(r.persistent().holder == name);
    CHECK(r.persistent().registrations.size() == 2);  // the old holder has left, as it said
    CHECK_FALSE(conflicts(r, heir, {0x2a}));
    CHECK(conflicts(r, holder, {0x2a}));

    Reservations none;
    REQUIRE(order(none, {register_key, holder, 0, 0, 0x11}) == Status::good);
    CHECK(move(none, holder, 0x11, 0x99, 0, name) == Status::check_condition);  // nothing to hand over
    Reservations shared = reserved(7);
    CHECK(move(shared, holder, 0x11, 0x99, 0, name) == Status::reservation_conflict);
}
