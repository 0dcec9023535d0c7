// The data directory at start: what is made, and what is refused with which words.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "db/database.hpp"
#include "db/migrations.hpp"
#include "scratch.hpp"

using namespace diskless;
using namespace diskless::db;

namespace {

std::string refused(const std::filesystem::path& data_dir) {
    CounterRegistry counters;
    return refusal([&] { const Database database{data_dir, counters, {.busy_timeout = std::chrono::milliseconds{0}}}; });
}

unsigned mode_of(const std::filesystem::path& path) { return static_cast<unsigned>(std::filesystem::status(path).permissions()); }

void make_empty(const std::filesystem::path& file) { std::ofstream stream{file}; }

/// A database as a program with only the first `count` migrations left it.
void make_version(const DataDir& data, std::size_t count) {
    std::filesystem::create_directories(data.path());
    make_empty(data.file());
    Connection connection{data.file()};
    migrate(connection, data.file(), migrations().first(count));
}

}  // namespace

TEST_CASE("a data directory is made when it is missing, for the server alone") {
    const DataDir data;
    CounterRegistry counters;
    {
        Database database{data.path(), counters};
        CHECK(mode_of(data.path()) == 0750);
        CHECK(mode_of(data.file()) == 0640);
        database.run([](Connection& connection) {
            CHECK(connection.text("PRAGMA journal_mode") == "wal");
            CHECK(connection.integer("PRAGMA synchronous") == 2);  // FULL
            CHECK(connection.integer("PRAGMA foreign_keys") == 1);
            CHECK(connection.integer("PRAGMA user_version") == std::ssize(migrations()));
        });
    }
    CHECK_FALSE(std::filesystem::exists(data.file().native() + "-wal"));  // closed in order
}

TEST_CASE("every version there ever was becomes the newest one, and keeps what it holds") {
    for (std::size_t version = 1; version <= migrations().size(); ++version) {
        CAPTURE(version);
        const DataDir data;
        make_version(data, version);
        {
            Connection connection{data.file()};
            connection.execute("INSERT INTO images (name, file, declared) VALUES ('old', 'images/old.img', 0)");
        }
        CounterRegistry counters;
        Database database{data.path(), counters};
        database.run([](Connection& connection) {
            CHECK(connection.integer("PRAGMA user_version") == std::ssize(migrations()));
            CHECK(connection.text("SELECT file FROM images WHERE name = 'old'") == "images/old.img");
            CHECK(connection.integer("SELECT count(*) FROM leases") == 0);
            CHECK(connection.integer("SELECT count(*) FROM boots") == 0);
            CHECK(connection.text("PRAGMA integrity_check") == "ok");
        });
        const std::filesystem::path copy = data.file().native() + ".version-" + std::to_string(version);
        CHECK(std::filesystem::exists(copy) == (version < migrations().size()));
        if (!std::filesystem::exists(copy)) continue;
        Connection kept{copy};
        CHECK(kept.integer("PRAGMA user_version") == static_cast<std::int64_t>(version));
        CHECK(kept.text("SELECT file FROM images WHERE name = 'old'") == "images/old.img");
    }
}

TEST_CASE("a migration that fails leaves the version before it") {
    const DataDir data;
    make_version(data, 1);
    Connection connection{data.file()};
    const std::vector<Migration> steps{migrations()[0], {"0002_broken", "CREATE TABLE half (a); CREATE TABLE images (b);"}};
    CHECK(refusal([&] { migrate(connection, data.file(), steps); }) == "table images already exists");
    CHECK_FALSE(connection.in_transaction());
    CHECK(connection.integer("PRAGMA user_version") == 1);
    CHECK(connection.integer("SELECT count(*) FROM sqlite_schema WHERE name = 'half'") == 0);
}

TEST_CASE("what cannot be used is refused in one line") {
    const DataDir data;
    const std::string file = data.file().native();

    SUBCASE("a newer schema") {
        make_version(data, migrations().size());
        Connection{data.file()}.execute("PRAGMA user_version = 99");
        CHECK(refused(data.path()) == file + ": has version 99 of the schema, and this program knows versions up to " +
                                          std::to_string(migrations().size()) + "; install the newer diskless, or restore a backup");
    }
    SUBCASE("another program's database") {
        std::filesystem::create_directories(data.path());
        make_empty(data.file());
        Connection{data.file()}.execute("CREATE TABLE bookmarks (url)");
        CHECK(refused(data.path()) == file + ": is another program's database; move it away");
    }
    SUBCASE("a file that is no database") {
        std::filesystem::create_directories(data.path());
        std::ofstream{data.file()} << std::string(10000, 'x');
        CHECK(refused(data.path()) ==
              file +
                  ": the database is damaged: file is not a database; restore a backup, or move the file away to begin "
                  "anew (leases, enrolled clients and records are then forgotten)");
    }
    SUBCASE("a damaged database") {
        make_version(data, migrations().size());
        {
            Connection connection{data.file()};
            connection.execute("BEGIN");
            for (int i = 0; i < 2000; ++i)
                connection.statement("INSERT INTO events (at, kind, subject, detail) VALUES (?, 'k', 's', 'some detail of this event')")
                    .run(i);
            connection.execute("COMMIT");
        }
        std::fstream stream{data.file(), std::ios::in | std::ios::out | std::ios::binary};
        stream.seekp(-4096 * 5, std::ios::end);
        stream << std::string(4096, '\xa5');
        stream.close();
        CHECK(refused(data.path()).starts_with(file + ": the database is damaged: "));
    }
    SUBCASE("a database that another program has locked") {
        make_version(data, migrations().size());
        Connection other{data.file()};
        other.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; PRAGMA user_version = 1");
        CHECK(refused(data.path()) == file + ": the database is locked by another program; end that program, for example an open sqlite3");
    }
    SUBCASE("a second server") {
        CounterRegistry counters;
        const Database first{data.path(), counters};
        CHECK(refused(data.path()) ==
              data.path().native() +
                  ": the data directory is in use by another disklessd; stop that one, or give this one its own data_dir");
    }
    SUBCASE("a data directory that is a file") {
        make_empty(data.path());
        CHECK(refused(data.path()).starts_with(data.path().native() + ": the data directory cannot be "));
    }
    SUBCASE("a folder in the database's place") {
        std::filesystem::create_directories(data.file());
        CHECK(refused(data.path()) ==
              file + ": the database cannot be opened: Is a directory; give the data directory to the server's user");
    }
}
