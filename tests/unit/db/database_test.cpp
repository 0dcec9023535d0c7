// The thread, its queue and its commits: what shares a commit, what fails alone, what a full disk does.
#include "db/database.hpp"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <latch>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "db/await.hpp"
#include "scratch.hpp"

using namespace diskless;
using namespace diskless::db;

namespace {

std::uint64_t counter(const CounterRegistry& counters, std::string_view name) {
    for (const auto& sample : counters.samples()) {
        if (sample.name == name) return sample.value;
    }
    return 0;
}

/// Holds the database's thread until it is let go, so that a queue can be built up behind it.
class Plug {
 public:
    explicit Plug(Database& database) {
        database.submit(
            [this](Connection&) {
                holding_.count_down();
                release_.wait();
            },
            [this](std::exception_ptr) { gone_.count_down(); });
        holding_.wait();
    }
    ~Plug() {
        pull();
        gone_.wait();
    }
    Plug(const Plug&) = delete;
    Plug& operator=(const Plug&) = delete;
    void pull() {
        if (!pulled_) release_.count_down();
        pulled_ = true;
    }

 private:
    std::latch holding_{1};
    std::latch release_{1};
    std::latch gone_{1};
    bool pulled_ = false;
};

void remember(Connection& connection, std::string_view key) {
    connection.statement("INSERT INTO meta (key, value) VALUES (?, 'x')").run(key);
}

std::int64_t remembered(Database& database) {
    return database.run([](Connection& connection) { return connection.integer("SELECT count(*) FROM meta"); });
}

}  // namespace

TEST_CASE("everything that waits shares one commit") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    constexpr int jobs = 1000;
    std::latch done{jobs};
    std::atomic<int> failed{0};
    const std::uint64_t before = counter(counters, "diskless_db_commits_total");
    {
        Plug plug{database};
        for (int i = 0; i < jobs; ++i) {
            database.submit([i](Connection& connection) { remember(connection, std::to_string(i)); },
                            [&](std::exception_ptr error) {
                                if (error) ++failed;
                                done.count_down();
                            });
        }
        CHECK(counter(counters, "diskless_db_waiting_jobs") == jobs);
    }
    done.wait();
    CHECK(failed == 0);
    CHECK(remembered(database) == jobs);
    CHECK(counter(counters, "diskless_db_commits_total") - before == 1);
    CHECK(counter(counters, "diskless_db_waiting_jobs") == 0);
}

TEST_CASE("a commit holds at most max_batch jobs, in the order in which they came") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters, {.max_batch = 10}};
    std::latch done{95};
    std::vector<int> order;
    const std::uint64_t before = counter(counters, "diskless_db_commits_total");
    {
        Plug plug{database};
        for (int i = 0; i < 95; ++i)
            database.submit([i](Connection& connection) { remember(connection, std::to_string(i)); },
                            [&order, &done, i](std::exception_ptr) {
                                order.push_back(i);
                                done.count_down();
                            });
    }
    done.wait();
    CHECK(counter(counters, "diskless_db_commits_total") - before == 10);
    CHECK(std::ranges::is_sorted(order));
}

TEST_CASE("a job that fails takes only its own changes with it") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    std::latch done{3};
    std::string reason;
    {
        Plug plug{database};
        database.submit([](Connection& connection) { remember(connection, "before"); },
                        [&](std::exception_ptr error) {
                            CHECK_FALSE(error);
                            done.count_down();
                        });
        database.submit(
            [](Connection& connection) {
                remember(connection, "half");
                remember(connection, "before");  // there already
            },
            [&](std::exception_ptr error) {
                reason = refusal([&] { std::rethrow_exception(error); });
                done.count_down();
            });
        database.submit([](Connection& connection) { remember(connection, "after"); },
                        [&](std::exception_ptr error) {
                            CHECK_FALSE(error);
                            done.count_down();
                        });
    }
    done.wait();
    CHECK(reason == "UNIQUE constraint failed: meta.key");
    CHECK(remembered(database) == 2);
    CHECK(counter(counters, "diskless_db_failures_total") == 1);

    CHECK_THROWS_AS(database.run([](Connection& connection) {
        remember(connection, "undone");
        throw std::logic_error{"a bug in a job"};
    }),
                    std::logic_error);
    CHECK(remembered(database) == 2);
}

TEST_CASE("a commit that fails as a whole is told to everyone in it") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    std::vector<std::string> reasons;
    std::latch done{3};
    const auto tell = [&](std::exception_ptr error) {
        reasons.push_back(error ? refusal([&] { std::rethrow_exception(error); }) : "kept");
        done.count_down();
    };
    const auto write_between = [&](std::string_view sql) {
        Plug plug{database};
        database.submit([](Connection& connection) { remember(connection, "first"); }, tell);
        database.submit([sql](Connection& connection) { connection.execute(std::string{sql}.c_str()); }, tell);
        database.submit([](Connection& connection) { remember(connection, "last"); }, tell);
    };
    SUBCASE("at its end") {  // a reference that only the commit examines
        write_between("PRAGMA defer_foreign_keys = ON; INSERT INTO client_macs (mac, client, position) VALUES ('m', 'nobody', 0)");
        done.wait();
        CHECK(reasons == std::vector<std::string>(3, "FOREIGN KEY constraint failed"));
    }
    SUBCASE("in its middle") {  // as SQLite itself may do when the disk is full
        write_between("ROLLBACK");
        done.wait();
        CHECK(reasons == std::vector<std::string>{"the transaction was lost with another job's", "no such savepoint: job",
                                                  "the transaction was lost with another job's"});
    }
    CHECK(remembered(database) == 0);
    database.run([](Connection& connection) { remember(connection, "works again"); });
    CHECK(remembered(database) == 1);
}

TEST_CASE("a full disk is told to everyone whose work is lost, and the service lives") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    database.run(
        [](Connection& connection) { (void)connection.integer("PRAGMA max_page_count = 1"); });  // the smallest allowed: as it is now
    int kept = 0;
    std::string reason;
    for (int i = 0; i < 100 && reason.empty(); ++i) {
        reason = refusal([&] {
            database.run([i](Connection& connection) {
                connection.statement("INSERT INTO meta (key, value) VALUES (?, ?)").run(std::to_string(i), std::string(4000, 'x'));
            });
            ++kept;
        });
    }
    CHECK(reason == "database or disk is full");
    CHECK(remembered(database) == kept);
    database.run([](Connection& connection) { (void)connection.integer("PRAGMA max_page_count = 1000000"); });
    database.run([](Connection& connection) { remember(connection, "room again"); });
    CHECK(remembered(database) == kept + 1);
}

TEST_CASE("a queue that is full refuses at once") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters, {.max_queue = 2}};
    Plug plug{database};
    std::string reason;
    for (int i = 0; i < 3; ++i) {
        database.submit([](Connection&) {},
                        [&](std::exception_ptr error) {
                            if (error) reason = refusal([&] { std::rethrow_exception(error); });
                        });
    }
    CHECK(reason == "too many writes wait for the database");
    plug.pull();
}

TEST_CASE("closing finishes what was submitted") {
    const DataDir data;
    CounterRegistry counters;
    std::atomic<int> finished{0};
    {
        Database database{data.path(), counters};
        for (int i = 0; i < 500; ++i)
            database.submit([i](Connection& connection) { remember(connection, std::to_string(i)); },
                            [&](std::exception_ptr error) { finished += error ? 0 : 1; });
    }
    CHECK(finished == 500);
    Database database{data.path(), counters};
    CHECK(remembered(database) == 500);
}

TEST_CASE("a log that grew is moved into the file between commits, not in them") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters, {.max_wal_pages = 1}};
    database.run([](Connection& connection) { remember(connection, "a"); });
    const int pages = database.run([](Connection& connection) { return connection.wal_pages(); });
    CHECK(pages == 0);
}

TEST_CASE("a coroutine gets its answer on its own executor") {
    const DataDir data;
    CounterRegistry counters;
    asio::io_context context;  // outlives the database
    Database database{data.path(), counters};
    std::int64_t answer = 0;
    bool same_thread = false;
    std::string reason;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            const auto thread = std::this_thread::get_id();
            co_await ask(database, [](Connection& connection) { remember(connection, "a"); });
            answer = co_await ask(database, [](Connection& connection) { return connection.integer("SELECT count(*) FROM meta"); });
            same_thread = thread == std::this_thread::get_id();
            try {
                co_await ask(database, [](Connection& connection) { remember(connection, "a"); });
            } catch (const StoreError& error) {
                reason = error.what();
                CHECK(error.sqlite_code() == SQLITE_CONSTRAINT);
            }
        },
        [](std::exception_ptr error) { CHECK_FALSE(error); });
    context.run();
    CHECK(answer == 1);
    CHECK(same_thread);
    CHECK(reason == "UNIQUE constraint failed: meta.key");
}
