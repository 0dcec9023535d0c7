#include "db/migrations.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <string>

#include "common/log.hpp"

namespace diskless::db {
namespace {

constexpr std::int64_t application_id = 0x64736b6c;  // "dskl": ours, not some other program's database

/// A copy to go back to. Written under another name first: a half-written copy must not look like one.
void keep_copy(Connection& connection, const std::filesystem::path& file, std::int64_t version) {
    const std::filesystem::path copy = fmt::format("{}.version-{}", file.native(), version);
    const std::filesystem::path unfinished = copy.native() + ".unfinished";
    std::filesystem::remove(unfinished);
    connection.statement("VACUUM INTO ?").run(unfinished.native());
    if (const int fd = ::open(unfinished.c_str(), O_RDONLY | O_CLOEXEC); fd >= 0) {
        ::fsync(fd);
        ::close(fd);
    }
    std::filesystem::rename(unfinished, copy);
    log::info("db.copied", "file={} version={}", copy.native(), version);
}

}  // namespace

void migrate(Connection& connection, const std::filesystem::path& file, std::span<const Migration> steps) {
    const std::int64_t version = connection.integer("PRAGMA user_version");
    const bool has_tables = connection.integer("SELECT count(*) FROM sqlite_schema") != 0;
    if (has_tables && connection.integer("PRAGMA application_id") != application_id)
        throw StoreError{"is another program's database; move it away"};
    if (version > std::ssize(steps))
        throw StoreError{
            fmt::format("has version {} of the schema, and this program knows versions up to {}; install the newer diskless, or "
                        "restore a backup",
                        version, steps.size())};
    if (version == std::ssize(steps)) return;
    if (has_tables) keep_copy(connection, file, version);
    for (auto i = static_cast<std::size_t>(version); i < steps.size(); ++i) {
        const std::string sql = fmt::format("BEGIN IMMEDIATE; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;",
                                            steps[i].sql, application_id, i + 1);
        try {
            connection.execute(sql.c_str());
        } catch (...) {
            if (connection.in_transaction()) connection.execute("ROLLBACK");
            throw;
        }
        log::info("db.migrated", "version={} step={}", i + 1, steps[i].name);
    }
}

}  // namespace diskless::db
