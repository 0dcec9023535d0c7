// The lease table: who gets which address, for how long, and what of it may be promised.
#include "services/dhcp/lease_table.hpp"

#include <set>

#include "packets.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;
using namespace std::chrono_literals;

namespace {

bool nothing(Ipv4Address) { return false; }

LeaseTable table(std::initializer_list<const char*> ranges, std::size_t max_leases = 65536) {
    std::vector<Ipv4Range> pool;
    for (const char* range : ranges) pool.push_back(Ipv4Range::parse(range).value());
    return LeaseTable{{pool}, max_leases};
}

Lease lease(const char* address, unsigned number, Seconds expires) {
    return {.address = ip(address), .mac = machine(number), .starts = at(0), .expires = expires};
}

}  // namespace

TEST_CASE("a pool is handed out from its first address to its last, over all its ranges, each once") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.12", "10.0.0.20-10.0.0.20", "10.0.0.30-10.0.0.31"});
    std::vector<std::string> given;
    for (unsigned i = 0; i < 6; ++i) given.push_back(leases.offer(machine(i), 0, {}, at(0), at(60), nothing).value().text());
    CHECK(given == std::vector<std::string>{"10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.20", "10.0.0.30", "10.0.0.31"});
    CHECK_FALSE(leases.offer(machine(6), 0, {}, at(0), at(60), nothing));
    CHECK_FALSE(leases.offer(machine(6), 1, {}, at(0), at(60), nothing));  // there is no such pool
}

TEST_CASE("asking again gives the same address, and a free wish is granted") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.19"});
    CHECK(leases.offer(machine(1), 0, ip("10.0.0.15"), at(0), at(60), nothing) == ip("10.0.0.15"));
    CHECK(leases.offer(machine(1), 0, {}, at(1), at(61), nothing) == ip("10.0.0.15"));
    CHECK(leases.offer(machine(1), 0, ip("10.0.0.17"), at(1), at(61), nothing) == ip("10.0.0.15"));  // its own goes before its wish
    CHECK(leases.offer(machine(2), 0, ip("10.0.0.15"), at(1), at(61), nothing) == ip("10.0.0.10"));  // taken
    CHECK(leases.offer(machine(3), 0, ip("10.9.9.9"), at(1), at(61), nothing) == ip("10.0.0.11"));   // no address of ours
}

TEST_CASE("an offer nobody takes is free again when its time is over, not before") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.10"});
    CHECK(leases.offer(machine(1), 0, {}, at(0), at(60), nothing));
    CHECK_FALSE(leases.offer(machine(2), 0, {}, at(59), at(119), nothing));
    CHECK(leases.offer(machine(2), 0, {}, at(60), at(120), nothing) == ip("10.0.0.10"));
    CHECK(leases.of(machine(1)) == nullptr);
    CHECK(leases.all().empty());  // offers are not for the disk
}

TEST_CASE("an offer that is turned down is free at once; a lease is not") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.10"});
    CHECK(leases.offer(machine(1), 0, {}, at(0), at(60), nothing));
    leases.withdraw(machine(1));
    CHECK(leases.offer(machine(2), 0, {}, at(1), at(61), nothing) == ip("10.0.0.10"));
    leases.bind(lease("10.0.0.10", 2, at(3600)));
    leases.withdraw(machine(2));
    CHECK_FALSE(leases.offer(machine(3), 0, {}, at(2), at(62), nothing));
}

TEST_CASE("an address waits for its last holder while others are free") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.12"});
    leases.bind(lease("10.0.0.10", 1, at(100)));
    leases.bind(lease("10.0.0.11", 2, at(50)));
    CHECK(leases.offer(machine(3), 0, {}, at(200), at(260), nothing) == ip("10.0.0.12"));
    CHECK(leases.offer(machine(1), 0, {}, at(200), at(260), nothing) == ip("10.0.0.10"));
    CHECK(leases.offer(machine(4), 0, {}, at(200), at(260), nothing) == ip("10.0.0.11"));  // free for longest
    CHECK_FALSE(leases.offer(machine(2), 0, {}, at(200), at(260), nothing));               // it came too late
}

TEST_CASE("a released address is kept for its holder and given away when it is needed; while offered back it is nobody else's") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.10"});
    leases.bind(lease("10.0.0.10", 1, at(3600)));
    CHECK_FALSE(leases.release(ip("10.0.0.10"), machine(2), at(10)));
    CHECK_FALSE(leases.release(ip("10.0.0.11"), machine(1), at(10)));
    const auto released = leases.release(ip("10.0.0.10"), machine(1), at(10));
    REQUIRE(released);
    CHECK(released->state == LeaseState::released);
    CHECK(released->expires == at(10));
    CHECK_FALSE(leases.release(ip("10.0.0.10"), machine(1), at(11)));  // once
    SUBCASE("back to its holder") {
        CHECK(leases.offer(machine(1), 0, {}, at(11), at(71), nothing) == ip("10.0.0.10"));
        CHECK_FALSE(leases.offer(machine(2), 0, ip("10.0.0.10"), at(12), at(72), nothing));
    }
    SUBCASE("to another") { CHECK(leases.offer(machine(2), 0, {}, at(11), at(71), nothing) == ip("10.0.0.10")); }
}

TEST_CASE("a declined address rests, whoever asks; only its holder can decline it") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.11"});
    CHECK(leases.offer(machine(1), 0, {}, at(0), at(60), nothing) == ip("10.0.0.10"));
    CHECK_FALSE(leases.decline(ip("10.0.0.10"), machine(1), at(600)));  // never acknowledged
    leases.bind(lease("10.0.0.10", 1, at(3600)));
    CHECK_FALSE(leases.decline(ip("10.0.0.10"), machine(2), at(600)));
    const auto declined = leases.decline(ip("10.0.0.10"), machine(1), at(600));
    REQUIRE(declined);
    CHECK(declined->state == LeaseState::declined);
    CHECK(declined->expires == at(600));
    CHECK_FALSE(leases.decline(ip("10.0.0.10"), machine(1), at(900)));
    CHECK(leases.of(machine(1)) == nullptr);
    CHECK(leases.offer(machine(1), 0, ip("10.0.0.10"), at(1), at(61), nothing) == ip("10.0.0.11"));
    CHECK_FALSE(leases.offer(machine(2), 0, ip("10.0.0.10"), at(599), at(659), [](auto a) { return a == ip("10.0.0.11"); }));
    CHECK(leases.offer(machine(2), 0, {}, at(600), at(660), nothing) == ip("10.0.0.10"));
}

TEST_CASE("unavailable addresses are passed over, and found again when they are available") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.12"});
    const auto blocked = [](Ipv4Address a) { return a != ip("10.0.0.12"); };
    CHECK(leases.offer(machine(1), 0, ip("10.0.0.10"), at(0), at(60), blocked) == ip("10.0.0.12"));
    CHECK_FALSE(leases.offer(machine(2), 0, {}, at(0), at(60), blocked));
    CHECK(leases.offer(machine(2), 0, {}, at(0), at(60), nothing) == ip("10.0.0.10"));
    CHECK(leases.offer(machine(3), 0, {}, at(0), at(60), nothing) == ip("10.0.0.11"));
}

TEST_CASE("expired addresses that cannot be used do not hide the ones that can") {
    LeaseTable leases = table({"10.0.0.1-10.0.15.255"});
    const auto count = static_cast<unsigned>(2 * LeaseTable::max_search);
    std::set<Ipv4Address> blocked;
    for (unsigned i = 0; i < 4095; ++i) {
        const auto address = leases.offer(machine(i), 0, {}, at(0), at(1), nothing).value();
        if (i < count) blocked.insert(address);
    }
    const auto is_blocked = [&](Ipv4Address a) { return blocked.contains(a); };
    std::optional<Ipv4Address> found;
    int asked = 0;
    while (!found && ++asked < 10) found = leases.offer(machine(9999), 0, {}, at(100), at(160), is_blocked);
    CHECK(asked == 3);  // two searches of max_search each found only blocked ones
    REQUIRE(found);
    CHECK_FALSE(is_blocked(*found));
    // Those passed over come back into the search later.
    const Seconds later = at(100) + LeaseTable::passed_over_time;
    CHECK(leases.offer(machine(10000), 0, {}, later, later + 60s, nothing));
}

TEST_CASE("the pools of two subnets do not hide each other") {
    LeaseTable leases{{{Ipv4Range::parse("10.0.0.10-10.0.0.250").value()}, {Ipv4Range::parse("10.0.1.10-10.0.1.10").value()}}, 1000};
    for (unsigned i = 0; i < 200; ++i) (void)leases.offer(machine(i), 0, {}, at(0), at(1), nothing);
    CHECK(leases.offer(machine(500), 1, {}, at(0), at(2), nothing) == ip("10.0.1.10"));
    CHECK(leases.offer(machine(501), 1, {}, at(10), at(70), nothing) == ip("10.0.1.10"));
    CHECK(leases.offer(machine(501), 0, {}, at(10), at(70), nothing) != ip("10.0.1.10"));  // it moved: an address of where it is
}

TEST_CASE("beyond max_leases only addresses that ran out are handed out") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.200"}, 3);
    for (unsigned i = 0; i < 3; ++i) CHECK(leases.offer(machine(i), 0, {}, at(0), at(60), nothing));
    CHECK_FALSE(leases.offer(machine(3), 0, {}, at(1), at(61), nothing));
    CHECK_FALSE(leases.offer(machine(3), 0, ip("10.0.0.99"), at(1), at(61), nothing));
    CHECK(leases.offer(machine(3), 0, {}, at(60), at(120), nothing) == ip("10.0.0.10"));
    CHECK(leases.size() == 3);
}

TEST_CASE("twenty thousand machines that never come back leave the table as it was") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.109"});
    unsigned served = 0;
    for (unsigned i = 0; i < 20000; ++i)
        served += leases.offer(machine(i), 0, {}, at(i / 100), at(i / 100 + 60), nothing).has_value() ? 1 : 0;
    CHECK(served == 400);  // a hundred addresses, each again after its minute
    CHECK(leases.size() == 100);
}

TEST_CASE("only what the store has confirmed counts as on disk") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.12"});
    const Ipv4Address a = ip("10.0.0.10");
    CHECK_FALSE(leases.is_on_disk(a, machine(1), at(0)));
    leases.bind(lease("10.0.0.10", 1, at(100)));
    CHECK_FALSE(leases.is_on_disk(a, machine(1), at(1)));
    leases.committed(a, machine(2), at(100));  // somebody else's
    leases.committed(a, machine(1), at(99));   // another lease than the one it has now
    CHECK_FALSE(leases.is_on_disk(a, machine(1), at(1)));
    leases.committed(a, machine(1), at(100));
    CHECK(leases.is_on_disk(a, machine(1), at(100)));
    CHECK_FALSE(leases.is_on_disk(a, machine(1), at(101)));
    CHECK_FALSE(leases.is_on_disk(a, machine(2), at(1)));
    SUBCASE("holding it longer promises nothing more") {
        leases.hold(a, machine(1), at(500));
        CHECK_FALSE(leases.is_on_disk(a, machine(1), at(101)));
        CHECK(leases.is_on_disk(a, machine(1), at(100)));
    }
    SUBCASE("a renewal counts when it is confirmed; until then the old one does") {
        leases.bind(lease("10.0.0.10", 1, at(200)));
        CHECK(leases.is_on_disk(a, machine(1), at(100)));
        CHECK_FALSE(leases.is_on_disk(a, machine(1), at(150)));
        leases.committed(a, machine(1), at(200));
        CHECK(leases.is_on_disk(a, machine(1), at(200)));
    }
    SUBCASE("another holder starts from nothing") {
        leases.bind(lease("10.0.0.10", 2, at(100)));
        CHECK_FALSE(leases.is_on_disk(a, machine(2), at(1)));
    }
    SUBCASE("a release ends it, and its late confirmation changes nothing") {
        REQUIRE(leases.release(a, machine(1), at(50)));
        leases.committed(a, machine(1), at(100));
        CHECK_FALSE(leases.is_on_disk(a, machine(1), at(1)));
    }
}

TEST_CASE("what was on disk is there again after a start") {
    LeaseTable before = table({"10.0.0.10-10.0.0.19"});
    before.bind(lease("10.0.0.10", 1, at(1000)));
    before.bind(lease("10.0.0.11", 2, at(1000)));
    before.bind(lease("10.0.0.12", 3, at(1000)));
    REQUIRE(before.release(ip("10.0.0.11"), machine(2), at(5)));
    REQUIRE(before.decline(ip("10.0.0.12"), machine(3), at(600)));
    std::vector<Lease> stored = before.all();
    stored.push_back(lease("10.0.0.13", 1, at(900)));  // an older one of the same machine
    LeaseTable after = table({"10.0.0.10-10.0.0.19"});
    after.load(stored);
    CHECK(after.size() == 4);
    CHECK(after.is_on_disk(ip("10.0.0.10"), machine(1), at(1000)));
    CHECK_FALSE(after.is_on_disk(ip("10.0.0.11"), machine(2), at(1)));
    CHECK(after.offer(machine(1), 0, {}, at(10), at(70), nothing) == ip("10.0.0.10"));
    CHECK(after.offer(machine(2), 0, {}, at(10), at(70), nothing) == ip("10.0.0.11"));
    CHECK(after.offer(machine(3), 0, ip("10.0.0.12"), at(10), at(70), nothing) == ip("10.0.0.14"));
}

TEST_CASE("a held reservation may lie outside every pool") {
    LeaseTable leases = table({"10.0.0.10-10.0.0.12"});
    leases.hold(ip("10.0.0.200"), machine(1), at(60));
    CHECK(leases.of(machine(1))->address == ip("10.0.0.200"));
    CHECK_FALSE(leases.is_free(ip("10.0.0.200"), machine(2), at(59)));
    CHECK(leases.is_free(ip("10.0.0.200"), machine(2), at(60)));
    CHECK(leases.is_free(ip("10.0.0.200"), machine(1), at(1)));
}
