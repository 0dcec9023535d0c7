// Persistent reservations through the real service: they outlive sessions, and with APTPL the server.
#include <doctest/doctest.h>

#include "tests/unit/iscsi/held_device.hpp"
#include "tests/unit/iscsi/serving.hpp"

using namespace diskless;
using namespace diskless::test;

namespace {

constexpr std::uint64_t key = 0x1122334455667788;

enum : int { register_key = 0, reserve = 1, preempt_and_abort = 5 };

wire::ScsiCommand persistent_reserve_out(RawInitiator& initiator, int action, int type) {
    return initiator.command({0x5f, static_cast<std::uint8_t>(action), static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 24, 0}, 24, false,
                             true);
}

Bytes parameters(std::uint64_t own, std::uint64_t next, bool persist = false) {
    Bytes list(24);
    store_be(MutableByteSpan{list}, 0, own);
    store_be(MutableByteSpan{list}, 8, next);
    list[20] = static_cast<std::byte>(persist ? 1 : 0);
    return list;
}

std::vector<std::uint64_t> registered_keys(Serving& serving) {
    RawInitiator reader{serving.port()};
    REQUIRE(serving.login(reader).status == wire::LoginStatus::success);
    reader.clear_attention();
    const auto answer = reader.run(reader.command({0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 256, true, false));
    REQUIRE(answer.status == 0);
    std::vector<std::uint64_t> keys;
    for (std::size_t at = 8; at + 8 <= answer.data.size(); at += 8) keys.push_back(load_be<std::uint64_t>(answer.data, at));
    return keys;
}

}  // namespace

TEST_CASE("a registration outlives its session; with APTPL the server too") {
    for (const bool persist : {false, true}) {
        CAPTURE(persist);
        std::map<std::uint16_t, std::string> kept;
        {
            Serving serving;
            {
                RawInitiator initiator{serving.port()};
                REQUIRE(serving.login(initiator).status == wire::LoginStatus::success);
                initiator.clear_attention();
                CHECK(initiator.run(persistent_reserve_out(initiator, register_key, 0), parameters(0, key, persist)).status == 0);
                CHECK(initiator.run(persistent_reserve_out(initiator, reserve, 3), parameters(key, 0, persist)).status == 0);
            }
            CHECK(registered_keys(serving) == std::vector{key});
            kept = serving.reservations.states;
        }
        CHECK(kept.empty() == !persist);
        Serving again;
        again.reservations.states = kept;
        CHECK(registered_keys(again) == (persist ? std::vector{key} : std::vector<std::uint64_t>{}));
    }
}

TEST_CASE("PREEMPT AND ABORT has ended when no write of the preempted can reach the disk any more") {
    Serving serving;
    auto disk = std::make_shared<HeldDevice>();
    serving.luns.device_for(serving.client_target("desk-01"), 0) = disk;
    RawInitiator fenced{serving.port()}, fencing{serving.port()};
    REQUIRE(serving.login(fenced).status == wire::LoginStatus::success);
    REQUIRE(serving.login(fencing, {}, {{std::byte{0x40}}}).status == wire::LoginStatus::success);
    fenced.clear_attention();
    fencing.clear_attention();
    REQUIRE(fenced.run(persistent_reserve_out(fenced, register_key, 0), parameters(0, 1)).status == 0);
    REQUIRE(fencing.run(persistent_reserve_out(fencing, register_key, 0), parameters(0, 2)).status == 0);
    disk->hold();
    fenced.send(make_pdu(fenced.command({0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512, false, true), pattern(512)));
    disk->await_held(1);

    const auto fence = persistent_reserve_out(fencing, preempt_and_abort, 5);
    fencing.send(make_pdu(fence, parameters(2, 1)));
    const auto ping = fencing.command({0, 0, 0, 0, 0, 0}, 0, false, false);
    fencing.send(make_pdu(ping));
    const auto first = fencing.receive();
    REQUIRE(first);
    CHECK(wire::ScsiResponse::decode(first->bhs).initiator_task_tag == ping.initiator_task_tag);
    disk->release();
    const auto second = fencing.receive();
    REQUIRE(second);
    CHECK(wire::ScsiResponse::decode(second->bhs).initiator_task_tag == fence.initiator_task_tag);
    CHECK(wire::ScsiResponse::decode(second->bhs).status == 0);
}
