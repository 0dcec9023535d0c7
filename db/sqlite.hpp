// SQLite under two small classes: a Connection with its prepared statements, and a Statement in use. Errors are StoreError. Not
// thread-safe: a Connection belongs to the database's thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/bytes.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace diskless::db {

/// What SQLite refused, or a data directory that cannot be used. what() is one line for people.
class StoreError : public std::runtime_error {
 public:
    explicit StoreError(const std::string& what, int sqlite_code = 0) : std::runtime_error{what}, sqlite_code_{sqlite_code} {}
    /// SQLite's primary result code, 0 where SQLite had no part.
    [[nodiscard]] int sqlite_code() const noexcept { return sqlite_code_; }

 private:
    int sqlite_code_;
};

/// A prepared statement while it is in use. It goes back to its connection, reset, at the end of its life: one user of one text at a time.
class Statement {
 public:
    Statement(sqlite3* connection, sqlite3_stmt* statement) noexcept : connection_{connection}, statement_{statement} {}
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    /// Binds all parameters in order, copying them.
    template<class... Args>
    Statement& bind(const Args&... args) {
        int index = 0;
        (bind_one(++index, args), ...);
        return *this;
    }
    /// Binds and runs to the end.
    template<class... Args>
    void run(const Args&... args) {
        bind(args...);
        while (step()) {
        }
    }
    /// The next row, or false after the last.
    bool step();

    // Columns of the row at hand, from 0. Views are valid until the next step().
    [[nodiscard]] std::int64_t integer(int column) const noexcept;
    [[nodiscard]] std::string_view text(int column) const noexcept;  ///< text or blob
    [[nodiscard]] bool is_null(int column) const noexcept;
    [[nodiscard]] std::optional<std::string> optional_text(int column) const;

 private:
    void bind_one(int index, std::string_view text);
    void bind_one(int index, ByteSpan blob);
    void bind_one(int index, std::int64_t value);
    void bind_one(int index, std::nullopt_t);
    void bind_one(int index, bool value) { bind_one(index, std::int64_t{value}); }
    template<std::integral T>
    void bind_one(int index, T value) {
        bind_one(index, static_cast<std::int64_t>(value));
    }
    template<class T>
    void bind_one(int index, const std::optional<T>& value) {
        value ? bind_one(index, *value) : bind_one(index, std::nullopt);
    }
    void check(int code) const;

    sqlite3* connection_;
    sqlite3_stmt* statement_;
};

class Connection {
 public:
    /// Opens an existing file. Throws StoreError.
    explicit Connection(const std::filesystem::path& file);

    /// One or more statements without parameters or results.
    void execute(const char* sql);
    /// Prepared once for the connection's life; `sql` is a literal.
    [[nodiscard]] Statement statement(std::string_view sql);
    /// The first column of the first row.
    [[nodiscard]] std::int64_t integer(std::string_view sql);
    [[nodiscard]] std::string text(std::string_view sql);

    [[nodiscard]] bool in_transaction() const noexcept;
    /// Commits that wrote something to the write-ahead log.
    [[nodiscard]] std::uint64_t commits() const noexcept { return log_->commits; }
    /// Pages in that log which are not in the file yet.
    [[nodiscard]] int wal_pages() const noexcept { return log_->pages; }
    enum class Checkpoint { passive, truncate };
    /// Moves the log's pages into the database file; what others keep busy stays in the log.
    void checkpoint(Checkpoint how);

 private:
    struct Close {
        void operator()(sqlite3* connection) const noexcept;
    };
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };

    struct Log {
        std::uint64_t commits = 0;
        int pages = 0;
    };

    std::unique_ptr<Log> log_ = std::make_unique<Log>();  // behind a pointer: SQLite's hook keeps its address
    std::unique_ptr<sqlite3, Close> connection_;
    std::map<std::string, std::unique_ptr<sqlite3_stmt, Finalize>, std::less<>> statements_;
};

}  // namespace diskless::db
