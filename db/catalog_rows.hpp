// The catalog's tables as values of boot/: rows in, rows out. Inside a job of the database.
#pragma once

#include "boot/catalog.hpp"
#include "db/sqlite.hpp"

namespace diskless::db {

/// All of it, each list in the order of names.
[[nodiscard]] boot::CatalogData read_catalog(Connection& connection);

/// Makes the tables hold `wanted` where they held `present`: only what differs is written.
void write_changes(Connection& connection, const boot::CatalogData& present, const boot::CatalogData& wanted);

/// A client that is not there yet. Throws StoreError when its name, address, UUID or a MAC is taken.
void insert(Connection& connection, const boot::ClientEntry& client);

}  // namespace diskless::db
