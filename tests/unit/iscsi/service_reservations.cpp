// Persistent reservations through the real service: they outlive sessions, and with APTPL the server.
#include <doctest/doctest.h>

#include "tests/unit/iscsi/serving.hpp"

using namespace diskless;
using namespace diskless::test;

namespace {

constexpr std::uint64_t key = 0x1122334455667788;

std::uint8_t persistent_reserve_out(RawInitiator& initiator, int action, int type, std::uint64_t own, std::uint64_t next, bool persist) {
    Bytes list(24);
    store_be(MutableByteSpan{list}, 0, own);
    store_be(MutableByteSpan{list}, 8, next);
    list[20] = static_cast<std::byte>(persist ? 1 : 0);
    const std::vector<std::uint8_t> cdb{0x5f, static_cast<std::uint8_t>(action), static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 24, 0};
    return initiator.run(initiator.command(cdb, 24, false, true), list).status;
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
                CHECK(persistent_reserve_out(initiator, 0, 0, 0, key, persist) == 0);
                CHECK(persistent_reserve_out(initiator, 1, 3, key, 0, persist) == 0);
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
