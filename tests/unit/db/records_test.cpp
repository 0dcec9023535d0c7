// Boots and the audit trail: the newest are kept, and come back newest first.
#include <doctest/doctest.h>

#include "db/boots.hpp"
#include "db/events.hpp"
#include "scratch.hpp"

using namespace diskless;
using namespace diskless::db;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::sys_time<std::chrono::milliseconds> noon{1'770'000'000'123ms};
const MacAddress desk = MacAddress::parse("52:54:00:12:34:01").value();

boot::BootTimeline timeline(std::string client, bool finished) {
    boot::BootTimeline timeline;
    timeline.observe({boot::Step::dhcp, desk, client, "192.168.77.11", noon});
    timeline.observe({boot::Step::loader, desk, client, "undionly.kpxe by TFTP", noon + 250ms});
    if (finished) timeline.observe({boot::Step::first_write, desk, client, "", noon + 9s});
    return timeline;
}

}  // namespace

TEST_CASE("a boot comes back with its steps") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    BootStore store{database};
    store.keep(desk, timeline("desk-01", true));
    store.keep(desk, timeline("desk-02", false));
    const auto all = await(store.newest(10));
    REQUIRE(all.size() == 2);
    CHECK(all[0].client == "desk-02");
    CHECK(all[0].outcome == "stopped");
    const BootRecord& done = all[1];
    CHECK(done.mac == desk);
    CHECK(done.started == noon);
    CHECK(done.outcome == "running");
    CHECK(done.duration == 9s);
    REQUIRE(done.steps.size() == 3);
    CHECK(done.steps[1].step == "loader");
    CHECK(done.steps[1].after_start == 250ms);
    CHECK(done.steps[1].detail == "undionly.kpxe by TFTP");
    CHECK(await(store.newest(1)).size() == 1);
    CHECK(await(store.newest(10, "desk-01")).size() == 1);
    CHECK(await(store.newest(10, "nobody")).empty());
}

TEST_CASE("old records make room, with all that belongs to them") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    BootStore boots{database};
    EventStore events{database};
    boots.keep(desk, timeline("first", true));
    events.record({.at = noon, .kind = "client.enrolled", .subject = "first", .detail = ""});
    database.run([](Connection& connection) {  // as if so many had come since
        connection.statement("UPDATE sqlite_sequence SET seq = ? WHERE name = 'boots'").run(BootStore::max_boots - 1);
        connection.statement("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'").run(EventStore::max_events - 1);
    });
    for (int i = 0; i < 2; ++i) {
        CHECK(await(boots.newest(10)).size() == static_cast<std::size_t>(1 + i));
        boots.keep(desk, timeline("later", true));
        events.record({.at = noon + 1s, .kind = "client.enrolled", .subject = "later", .detail = "by itself"});
    }
    const auto kept = await(boots.newest(10));
    REQUIRE(kept.size() == 2);
    CHECK(kept[1].client == "later");
    CHECK(database.run([](Connection& connection) { return connection.integer("SELECT count(*) FROM boot_steps"); }) == 6);
    const auto trail = await(events.newest(10));
    REQUIRE(trail.size() == 2);
    CHECK(trail[0].at == noon + 1s);
    CHECK(trail[0].kind == "client.enrolled");
    CHECK(trail[1].subject == "later");
    CHECK(trail[1].detail == "by itself");
    CHECK(trail[0].id == EventStore::max_events + 1);
}
