#include "db/images.hpp"

#include <algorithm>
#include <utility>

#include "db/instant.hpp"

namespace diskless::db {
namespace {

using boot::ImportJob;

boot::ImageRecord& record_of(std::vector<boot::ImageRecord>& images, std::string_view name) {
    if (images.empty() || images.back().name != name) images.push_back({.name = std::string{name}, .versions = {}, .published = {}});
    return images.back();
}

std::vector<boot::ImageRecord> read_images(Connection& connection) {
    std::vector<boot::ImageRecord> images;
    Statement row = connection.statement(
        "SELECT image, number, file, format, size_bytes, digest, description, created_ms, source, deleted FROM image_version ORDER BY "
        "image, number");
    while (row.step())
        record_of(images, row.text(0))
            .versions.push_back({.number = static_cast<unsigned>(row.integer(1)),
                                 .file = row.text(2),
                                 .format = boot::disk_format(row.text(3)).value_or(boot::DiskFormat::raw),
                                 .size_bytes = static_cast<std::uint64_t>(row.integer(4)),
                                 .digest = std::string{row.text(5)},
                                 .description = std::string{row.text(6)},
                                 .created = instant_of(row.integer(7)),
                                 .source = std::string{row.text(8)},
                                 .state = static_cast<boot::VersionState>(row.integer(9))});
    Statement publication = connection.statement("SELECT image, number FROM image_publication ORDER BY image, position");
    while (publication.step()) {
        const auto image = std::ranges::find(images, publication.text(0), &boot::ImageRecord::name);
        if (image != images.end()) image->published.push_back(static_cast<unsigned>(publication.integer(1)));
    }
    return images;
}

void replace(Connection& connection, const boot::ImageRecord& image) {
    connection.statement("DELETE FROM image_version WHERE image = ?").run(image.name);
    for (const boot::ImageVersion& version : image.versions)
        connection
            .statement(
                "INSERT INTO image_version (image, number, file, format, size_bytes, digest, description, created_ms, source, deleted) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .run(image.name, version.number, version.file.native(), name_of(version.format), version.size_bytes, version.digest,
                 version.description, milliseconds_of(version.created), version.source, std::to_underlying(version.state));
    connection.statement("DELETE FROM image_publication WHERE image = ?").run(image.name);
    for (std::size_t i = 0; i < image.published.size(); ++i)
        connection.statement("INSERT INTO image_publication (image, position, number) VALUES (?, ?, ?)")
            .run(image.name, i, image.published[i]);
}

std::vector<ImportJob> read_imports(Connection& connection) {
    std::vector<ImportJob> imports;
    Statement row = connection.statement(
        "SELECT id, image, source, format, description, publish, created_ms, state, error, warning, number, file, size_bytes, digest, "
        "safe_bytes, source_mark FROM "
        "image_import ORDER BY id");
    while (row.step()) {
        ImportJob& job = imports.emplace_back();
        job.id = static_cast<std::uint64_t>(row.integer(0));
        job.image = row.text(1);
        job.source = row.text(2);
        job.format = row.text(3);
        job.description = row.text(4);
        job.publish = row.integer(5) != 0;
        job.created = instant_of(row.integer(6));
        job.state = boot::import_state(row.text(7)).value_or(ImportJob::State::failed);
        job.error = row.text(8);
        job.warning = row.text(9);
        job.result.number = static_cast<unsigned>(row.integer(10));
        job.result.file = row.text(11);
        job.result.size_bytes = static_cast<std::uint64_t>(row.integer(12));
        job.result.digest = row.text(13);
        job.safe_bytes = static_cast<std::uint64_t>(row.integer(14));
        job.source_mark = row.text(15);
    }
    return imports;
}

std::uint64_t replace(Connection& connection, const ImportJob& job) {
    connection
        .statement(
            "INSERT OR REPLACE INTO image_import (id, image, source, format, description, publish, created_ms, state, error, warning, "
            "number, file, size_bytes, digest, safe_bytes, source_mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .run(job.id == 0 ? std::nullopt : std::optional{job.id}, job.image, job.source.native(), job.format, job.description, job.publish,
             milliseconds_of(job.created), name_of(job.state), job.error, job.warning, job.result.number, job.result.file.native(),
             job.result.size_bytes, job.result.digest, job.safe_bytes, job.source_mark);
    const std::int64_t id = connection.integer("SELECT last_insert_rowid()");
    connection.statement("DELETE FROM image_import WHERE id <= ? AND state IN ('done', 'failed', 'cancelled')")
        .run(id - ImageStore::max_imports_over);
    return static_cast<std::uint64_t>(id);
}

bool retire_unused(Connection& connection, const std::string& image, unsigned number) {
    connection
        .statement(
            "UPDATE image_version SET deleted = 2 WHERE image = ?1 AND number = ?2 AND NOT EXISTS (SELECT 1 FROM disk WHERE disk.image "
            "= ?1 AND disk.version = ?2)")
        .run(image, number);
    return connection.integer("SELECT changes()") != 0;
}

}  // namespace

std::vector<boot::ImageRecord> ImageStore::images() { return database_->run(read_images); }

void ImageStore::save(const boot::ImageRecord& image, const ImportJob* import) {
    database_->run([&](Connection& connection) {
        replace(connection, image);
        if (import != nullptr) replace(connection, *import);
    });
}

bool ImageStore::retire(const std::string& image, unsigned number) {
    return database_->run([&](Connection& connection) { return retire_unused(connection, image, number); });
}

std::vector<ImportJob> ImageStore::imports() { return database_->run(read_imports); }

std::uint64_t ImageStore::save(const ImportJob& import) {
    return database_->run([&](Connection& connection) { return replace(connection, import); });
}

}  // namespace diskless::db
