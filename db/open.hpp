// Everything that happens to the data directory before the database serves: made, locked, the file opened, examined and migrated.
#pragma once

#include <chrono>
#include <filesystem>

#include "db/sqlite.hpp"

namespace diskless::db {

/// One server per data directory: a second one would hand out the same addresses. Held for the life of the process, SIGKILL included.
class DirectoryLock {
 public:
    /// Makes the directory when it is missing (0750). Throws StoreError.
    explicit DirectoryLock(const std::filesystem::path& data_dir);
    ~DirectoryLock();
    DirectoryLock(const DirectoryLock&) = delete;
    DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
    int fd_ = -1;
};

/// Opens `file`, makes it when it is missing (0640), and brings it to the newest schema. Throws StoreError: "FILE: problem; remedy".
[[nodiscard]] Connection open_database(const std::filesystem::path& file, std::chrono::milliseconds busy_timeout);

}  // namespace diskless::db
