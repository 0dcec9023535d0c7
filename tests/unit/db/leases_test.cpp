// Leases: what is promised is on disk, whatever happens next.
#include "db/leases.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <latch>
#include <map>

#include "scratch.hpp"

using namespace diskless;
using namespace diskless::db;
using boot::Lease;
using boot::LeaseState;
using boot::Seconds;

namespace {

Seconds at(std::int64_t seconds) { return Seconds{std::chrono::seconds{seconds}}; }

Lease lease_number(std::uint32_t n) {
    const std::array octets{std::byte{0x52},          std::byte{0x54},         std::byte{0},
                            std::byte(n >> 16 & 255), std::byte(n >> 8 & 255), std::byte(n & 255)};
    return {.address = {0x0a000000u + n},
            .mac = {octets},
            .host_name = "host-" + std::to_string(n),
            .starts = at(1000 + n),
            .expires = at(5000 + n)};
}

void save(LeaseStore& store, std::vector<Lease> leases, bool expected = true) {
    std::latch done{1};
    bool durable = !expected;
    store.save(std::move(leases), [&](bool is_durable) {
        durable = is_durable;
        done.count_down();
    });
    done.wait();
    CHECK(durable == expected);
}

std::vector<Lease> sorted(std::vector<Lease> leases) {
    std::ranges::sort(leases, {}, &Lease::address);
    return leases;
}

}  // namespace

TEST_CASE("leases come back as they were saved") {
    const DataDir data;
    CounterRegistry counters;
    using namespace std::string_literals;
    Lease odd = lease_number(1);
    odd.client_id = "\x01\x00\xff\x27"s;
    odd.host_name = "nul\0and \xff\xfe"s;
    Lease released = lease_number(2);
    released.state = LeaseState::released;
    Lease declined = lease_number(3);
    declined.state = LeaseState::declined;
    {
        Database database{data.path(), counters};
        LeaseStore store{database};
        save(store, {odd, released, declined});
        Lease replaced = lease_number(4);
        save(store, {replaced});
        save(store, {Lease{.address = replaced.address, .mac = odd.mac, .starts = at(7), .expires = at(8)}});
    }
    Database database{data.path(), counters};
    LeaseStore store{database};
    const auto leases = sorted(store.load_at_start());
    REQUIRE(leases.size() == 4);
    CHECK(leases[0] == odd);
    CHECK(leases[1] == released);
    CHECK(leases[2] == declined);
    CHECK(leases[3] == Lease{.address = lease_number(4).address, .mac = odd.mac, .starts = at(7), .expires = at(8)});
}

TEST_CASE("leases are erased one by one, or when they are long over") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    LeaseStore store{database};
    save(store, {lease_number(1), lease_number(2), lease_number(3), lease_number(4)});
    std::latch done{2};
    store.erase({lease_number(4).address, lease_number(77).address}, [&](bool erased) {
        CHECK(erased);
        done.count_down();
    });
    store.erase_expired(lease_number(2).expires, [&](bool erased) {
        CHECK(erased);
        done.count_down();
    });
    done.wait();
    CHECK(sorted(store.load_at_start()) == std::vector{lease_number(2), lease_number(3)});
}

TEST_CASE("a full disk: nothing is promised, and it works again when there is room") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    LeaseStore store{database};
    database.run([](Connection& connection) { (void)connection.integer("PRAGMA max_page_count = 1"); });
    std::vector<Lease> many;
    many.reserve(5000);
    for (std::uint32_t n = 0; n < 5000; ++n) many.push_back(lease_number(n));
    save(store, many, false);
    CHECK(store.load_at_start().empty());
    database.run([](Connection& connection) { (void)connection.integer("PRAGMA max_page_count = 1000000"); });
    save(store, many);
    CHECK(store.load_at_start().size() == 5000);
}

// A child saves leases as fast as it can and writes the number of each one to a pipe once it is said to be durable; it is killed in the
// middle. Whatever came through the pipe must be there when the next server starts.
TEST_CASE("SIGKILL at any moment loses no lease that was promised") {
    const DataDir data;
    constexpr int rounds = 12;
    std::uint32_t first = 0;
    std::map<std::uint32_t, Lease> promised;
    for (int round = 0; round < rounds; ++round) {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            CounterRegistry counters;
            Database database{data.path(), counters};
            LeaseStore store{database};
            std::latch never{1};
            // A window of leases under way, so that every kill finds a commit begun and others waiting.
            const auto save_next = [&](auto& self, std::uint32_t n) -> void {
                store.save({lease_number(n)}, [&, n](bool durable) {
                    if (!durable || ::write(ends[1], &n, sizeof n) != sizeof n) ::_exit(1);
                    self(self, n + 16);
                });
            };
            for (std::uint32_t n = 0; n < 16; ++n) save_next(save_next, first + n);
            never.wait();
        }
        ::close(ends[1]);
        // Each round lets it go a little further: through the migrations, the first commits, the first checkpoints.
        const int wanted = 1 + round * 97;
        std::uint32_t last = first;
        std::uint32_t n = 0;
        for (int i = 0; i < wanted && ::read(ends[0], &n, sizeof n) == sizeof n; ++i) {
            promised[n] = lease_number(n);
            last = std::max(last, n);
        }
        CHECK(::kill(child, SIGKILL) == 0);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status));
        while (::read(ends[0], &n, sizeof n) == sizeof n) {
            promised[n] = lease_number(n);
            last = std::max(last, n);
        }
        ::close(ends[0]);
        first = last + 17;

        CounterRegistry counters;
        Database database{data.path(), counters};
        LeaseStore store{database};
        std::map<std::uint32_t, Lease> found;
        for (Lease& lease : store.load_at_start()) found.emplace(lease.address.value - 0x0a000000u, lease);
        CAPTURE(round);
        CHECK(std::ranges::all_of(promised,
                                  [&](const auto& entry) { return found.contains(entry.first) && found[entry.first] == entry.second; }));
    }
    CHECK(promised.size() >= 1000);
}
