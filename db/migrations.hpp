// The schema's history: migrations/NNNN_*.sql, built into the program, applied in order. The version a database has is its user_version.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "db/sqlite.hpp"

namespace diskless::db {

struct Migration {
    std::string_view name;  ///< "0001_catalog"
    const char* sql;
};

/// All there are; the first makes version 1.
[[nodiscard]] std::span<const Migration> migrations() noexcept;

/// Brings `file`, open as `connection`, to the newest version: each step whole or not at all. A database that already holds something is
/// copied to `<file>.version-<n>` first. Throws StoreError for one of a newer program, or of another one.
void migrate(Connection& connection, const std::filesystem::path& file, std::span<const Migration> steps = migrations());

}  // namespace diskless::db
