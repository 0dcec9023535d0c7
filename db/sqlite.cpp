#include "db/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <utility>

namespace diskless::db {
namespace {

[[noreturn]] void fail(sqlite3* connection, int code) {
    // The connection's message says more, as long as it is about this error.
    const bool detailed = connection != nullptr && sqlite3_errcode(connection) == (code & 0xff);
    throw StoreError{detailed ? sqlite3_errmsg(connection) : sqlite3_errstr(code), code & 0xff};
}

}  // namespace

Statement::~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

void Statement::check(int code) const {
    if (code != SQLITE_OK) fail(connection_, code);
}

bool Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    fail(connection_, code);
}

void Statement::bind_one(int index, std::string_view text) {
    // An empty view may have no address, and an address of null would bind NULL.
    check(sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind_one(int index, ByteSpan blob) {
    check(sqlite3_bind_blob64(statement_, index, blob.empty() ? "" : static_cast<const void*>(blob.data()), blob.size(), SQLITE_TRANSIENT));
}

void Statement::bind_one(int index, std::int64_t value) { check(sqlite3_bind_int64(statement_, index, value)); }
void Statement::bind_one(int index, std::nullopt_t) { check(sqlite3_bind_null(statement_, index)); }

std::int64_t Statement::integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::text(int column) const noexcept {
    const void* const data = sqlite3_column_blob(statement_, column);
    if (data == nullptr) return {};
    return {static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::optional<std::string> Statement::optional_text(int column) const {
    if (is_null(column)) return std::nullopt;
    return std::string{text(column)};
}

void Connection::Close::operator()(sqlite3* connection) const noexcept { sqlite3_close_v2(connection); }
void Connection::Finalize::operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }

Connection::Connection(const std::filesystem::path& file) {
    sqlite3* connection = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    connection_.reset(connection);
    if (code != SQLITE_OK) fail(connection, code);
    // Setting this hook switches SQLite's own checkpoints off: they would fall into a commit that somebody waits for.
    sqlite3_wal_hook(
        connection,
        [](void* log, sqlite3*, const char*, int pages) {
            *static_cast<Log*>(log) = {static_cast<Log*>(log)->commits + 1, pages};
            return SQLITE_OK;
        },
        log_.get());
}

void Connection::execute(const char* sql) {
    if (const int code = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(connection_.get(), code);
}

Statement Connection::statement(std::string_view sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
        sqlite3_stmt* prepared = nullptr;
        const int code =
            sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
        if (code != SQLITE_OK) fail(connection_.get(), code);
        found = statements_.try_emplace(std::string{sql}, prepared).first;
    }
    return Statement{connection_.get(), found->second.get()};
}

std::int64_t Connection::integer(std::string_view sql) {
    Statement query = statement(sql);
    return query.step() ? query.integer(0) : 0;
}

std::string Connection::text(std::string_view sql) {
    Statement query = statement(sql);
    return query.step() ? std::string{query.text(0)} : std::string{};
}

bool Connection::in_transaction() const noexcept { return sqlite3_get_autocommit(connection_.get()) == 0; }

void Connection::checkpoint(Checkpoint how) {
    const int mode = how == Checkpoint::truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int in_log = 0;
    int moved = 0;
    const int code = sqlite3_wal_checkpoint_v2(connection_.get(), nullptr, mode, &in_log, &moved);
    if (code != SQLITE_OK && code != SQLITE_BUSY) fail(connection_.get(), code);
    log_->pages = std::max(0, in_log - moved);
}

}  // namespace diskless::db
