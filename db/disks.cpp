#include "db/disks.hpp"

#include <fmt/format.h>

#include "db/instant.hpp"

namespace diskless::db {
namespace {

std::vector<boot::DiskRecord> read_disks(Connection& connection, const std::string& image, unsigned version) {
    std::vector<boot::DiskRecord> disks;
    Statement row = connection.statement(
        "SELECT owner, lun, file, image, version, mode, size_bytes, created_ms FROM disk WHERE ?1 = '' OR (image = ?1 AND version = ?2) "
        "ORDER BY owner, lun");
    row.bind(image, version);
    while (row.step())
        disks.push_back({.owner = std::string{row.text(0)},
                         .lun = static_cast<std::uint16_t>(row.integer(1)),
                         .file = row.text(2),
                         .image = std::string{row.text(3)},
                         .version = static_cast<unsigned>(row.integer(4)),
                         .mode = boot::disk_mode(row.text(5)).value_or(boot::DiskMode::persistent),
                         .size_bytes = static_cast<std::uint64_t>(row.integer(6)),
                         .created = instant_of(row.integer(7))});
    return disks;
}

void require_version(Connection& connection, const std::string& image, unsigned version) {
    Statement row = connection.statement("SELECT 1 FROM image_version WHERE image = ? AND number = ? AND deleted < 2");
    row.bind(image, version);
    if (!row.step())
        throw StoreError{fmt::format("{0}@{1} was deleted; diskless image show {0} lists the versions there are", image, version)};
}

}  // namespace

std::vector<boot::DiskRecord> DiskStore::disks() {
    return database_->run([](Connection& connection) { return read_disks(connection, {}, 0); });
}

std::vector<boot::DiskRecord> DiskStore::disks_of_version(const std::string& image, unsigned number) {
    return database_->run([&](Connection& connection) { return read_disks(connection, image, number); });
}

void DiskStore::put(const boot::DiskRecord& disk) {
    database_->run([&](Connection& connection) {
        if (!disk.image.empty()) require_version(connection, disk.image, disk.version);
        connection
            .statement(
                "INSERT INTO disk (owner, lun, file, image, version, mode, size_bytes, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (owner, lun) DO UPDATE SET file = excluded.file, image = excluded.image, version = excluded.version, "
                "mode = excluded.mode, size_bytes = excluded.size_bytes, created_ms = excluded.created_ms")
            .run(disk.owner, disk.lun, disk.file.native(), disk.image, disk.version, name_of(disk.mode), disk.size_bytes,
                 milliseconds_of(disk.created));
    });
}

void DiskStore::remove_disk(const std::string& owner, std::uint16_t lun) {
    database_->run([&](Connection& connection) { connection.statement("DELETE FROM disk WHERE owner = ? AND lun = ?").run(owner, lun); });
}

std::vector<boot::SnapshotRecord> DiskStore::snapshots(const std::string& owner, std::uint16_t lun) {
    return database_->run([&](Connection& connection) {
        std::vector<boot::SnapshotRecord> snapshots;
        Statement row =
            connection.statement("SELECT name, file, created_ms FROM disk_snapshot WHERE owner = ? AND lun = ? ORDER BY created_ms, name");
        row.bind(owner, lun);
        while (row.step())
            snapshots.push_back(
                {.owner = owner, .lun = lun, .name = std::string{row.text(0)}, .file = row.text(1), .created = instant_of(row.integer(2))});
        return snapshots;
    });
}

void DiskStore::put(const boot::SnapshotRecord& snapshot) {
    database_->run([&](Connection& connection) {
        connection
            .statement(
                "INSERT INTO disk_snapshot (owner, lun, name, file, created_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (owner, lun, name) "
                "DO UPDATE SET file = excluded.file, created_ms = excluded.created_ms")
            .run(snapshot.owner, snapshot.lun, snapshot.name, snapshot.file.native(), milliseconds_of(snapshot.created));
    });
}

void DiskStore::remove_snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) {
    database_->run([&](Connection& connection) {
        connection.statement("DELETE FROM disk_snapshot WHERE owner = ? AND lun = ? AND name = ?").run(owner, lun, name);
    });
}

}  // namespace diskless::db
