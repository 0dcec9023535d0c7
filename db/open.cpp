#include "db/open.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/lock_patience.hpp"
#include "db/migrations.hpp"

namespace diskless::db {
namespace {

namespace fs = std::filesystem;
[[noreturn]] void refuse(const fs::path& file, std::string_view problem, std::string_view remedy) {
    throw StoreError{fmt::format("{}: {}; {}", file.native(), problem, remedy)};
}

void make_directory(const fs::path& data_dir) {
    std::error_code error;
    if (fs::is_directory(data_dir, error)) return;
    if (data_dir.has_parent_path()) fs::create_directories(data_dir.parent_path(), error);
    if (::mkdir(data_dir.c_str(), 0750) != 0 && errno != EEXIST)
        refuse(data_dir, fmt::format("the data directory cannot be made: {}", std::strerror(errno)),
               "create it, and give it to the server's user");
}

/// 0, or the errno.
int lock_whole(int fd) noexcept {
    int reason = 0;
    (void)lock_patiently([&] {
        reason = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        return reason != EWOULDBLOCK;
    });
    return reason;
}

/// What SQLite says when it cannot work with a file, in words that help.
[[noreturn]] void refuse_open(const fs::path& file, const StoreError& error) {
    switch (error.sqlite_code()) {
        case 0: throw StoreError{fmt::format("{}: {}", file.native(), error.what())};
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
            refuse(file, fmt::format("the database is damaged: {}", error.what()),
                   "restore a backup, or move the file away to begin anew (leases, enrolled clients and records are then forgotten)");
        case SQLITE_BUSY:
        case SQLITE_LOCKED: refuse(file, "the database is locked by another program", "end that program, for example an open sqlite3");
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
            refuse(file, fmt::format("the database cannot be written: {}", error.what()), "give the data directory to the server's user");
        case SQLITE_FULL: refuse(file, "the file system is full", "make room");
        default: refuse(file, fmt::format("the database cannot be used: {}", error.what()), "check the file system");
    }
}

}  // namespace

DirectoryLock::DirectoryLock(const fs::path& data_dir) {
    make_directory(data_dir);
    const fs::path file = data_dir / "diskless.lock";
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd_ < 0)
        refuse(data_dir, fmt::format("the data directory cannot be used: {}", std::strerror(errno)), "give it to the server's user");
    const int reason = lock_whole(fd_);
    if (reason == 0) return;
    ::close(fd_);
    if (reason == EWOULDBLOCK)
        refuse(data_dir, "the data directory is in use by another disklessd", "stop that one, or give this one its own data_dir");
    refuse(data_dir, fmt::format("the data directory cannot be locked: {}", std::strerror(reason)), "check the file system");
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

Connection open_database(const fs::path& file, std::chrono::milliseconds busy_timeout) {
    // Made here and not by SQLite, for the mode: everybody's MAC address and one day passwords are in it. The log files take over its mode.
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        refuse(file, fmt::format("the database cannot be opened: {}", std::strerror(errno)),
               "give the data directory to the server's user");
    ::close(fd);
    try {
        Connection connection{file};
        connection.execute(fmt::format("PRAGMA busy_timeout = {}", busy_timeout.count()).c_str());
        // A commit is on disk when it returns: WAL alone would lose the last ones with the power.
        connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
        if (const std::string verdict = connection.text("PRAGMA quick_check(1)"); verdict != "ok")
            throw StoreError{verdict, SQLITE_CORRUPT};
        migrate(connection, file);
        return connection;
    } catch (const StoreError& error) {
        refuse_open(file, error);
    } catch (const fs::filesystem_error& error) {
        refuse(file, fmt::format("no copy can be made before its migration: {}", error.code().message()),
               "make room in the data directory");
    }
}

}  // namespace diskless::db
