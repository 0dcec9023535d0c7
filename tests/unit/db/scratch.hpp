// A data directory for a test, and a database in it.
#pragma once

#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

#include "common/asio.hpp"
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

/// Runs a coroutine to its end and returns what it returns. One context for all tests: the database's thread may still be inside post()
/// when the coroutine goes on, so no context may end before its database.
template<class T>
T await(diskless::asio::awaitable<T> work) {
    static diskless::asio::io_context context;
    std::optional<T> result;
    diskless::asio::co_spawn(context, std::move(work), [&](std::exception_ptr error, T value) {
        if (error) std::rethrow_exception(error);
        result = std::move(value);
    });
    context.restart();
    context.run();
    return std::move(*result);
}
