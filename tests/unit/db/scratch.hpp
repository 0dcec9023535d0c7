// A data directory for a test, and a database in it.
#pragma once

#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>

#include "common/counters.hpp"
#include "db/database.hpp"

class DataDir {
 public:
    DataDir() {
        std::string pattern = (std::filesystem::temp_directory_path() / "diskless-db-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp failed"};
        root_ = pattern;
        spdlog::set_level(spdlog::level::off);  // what is logged is not what these tests look at
    }
    ~DataDir() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    DataDir(const DataDir&) = delete;
    DataDir& operator=(const DataDir&) = delete;

    /// Not there yet: the database makes it.
    [[nodiscard]] std::filesystem::path path() const { return root_ / "data"; }
    [[nodiscard]] std::filesystem::path file() const { return path() / "diskless.db"; }

 private:
    std::filesystem::path root_;
};

/// What a StoreError says; empty when there is none.
template<class F>
std::string refusal(F action) {
    try {
        action();
        return {};
    } catch (const diskless::db::StoreError& error) {
        return error.what();
    }
}
