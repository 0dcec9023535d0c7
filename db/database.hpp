// Database: the SQLite file and the one thread that touches it. Work is submitted from any thread and completed after its commit is on
// disk; everything that arrives while a commit runs goes into the next one, so that durable rows stay cheap under load.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "common/counters.hpp"
#include "db/open.hpp"
#include "db/sqlite.hpp"

namespace diskless::db {

struct DatabaseLimits {
    std::size_t max_queue = 65536;                 ///< jobs waiting; beyond it they are refused
    std::size_t max_batch = 4096;                  ///< jobs in one commit
    int checkpoint_pages = 1000;                   ///< of 4 KiB in the log: move them into the file when nobody waits
    int max_wal_pages = 16384;                     ///< 64 MiB: move them even while somebody waits
    std::chrono::milliseconds idle{5000};          ///< silence after which the log is emptied
    std::chrono::milliseconds busy_timeout{5000};  ///< for a lock that a person's sqlite3 holds
};

class Database {
 public:
    /// May throw: what it wrote is then undone, and its Done gets the exception.
    using Job = std::move_only_function<void(Connection&)>;
    /// On the database's thread (or inside submit(), when the job is refused); nullptr: it is on disk. Must not throw, block, or call
    /// run().
    using Done = std::move_only_function<void(std::exception_ptr)>;

    /// Opens `<data_dir>/diskless.db`, making directory and file where they are missing. Throws StoreError with one line that says what is
    /// wrong and what to do.
    Database(const std::filesystem::path& data_dir, CounterRegistry& counters, DatabaseLimits limits = {});
    /// Finishes what was submitted.
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// From any thread; returns at once. Jobs run in the order in which they came.
    void submit(Job job, Done done);

    /// Runs `job` and waits for it: for start and stop, never on a thread that serves. Throws what the job threw.
    template<class F>
    auto run(F job) -> std::invoke_result_t<F&, Connection&> {
        using Result = std::invoke_result_t<F&, Connection&>;
        if constexpr (std::is_void_v<Result>) {
            wait_for(std::ref(job));
        } else {
            std::optional<Result> result;
            wait_for([&](Connection& connection) { result.emplace(job(connection)); });
            return std::move(*result);
        }
    }

    [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

 private:
    struct Task {
        Job job;
        Done done;
        std::exception_ptr error;
    };

    void wait_for(Job job);
    std::string_view enqueue(Job& job, Done& done);
    void serve();
    bool take(std::vector<Task>& batch);
    void commit(std::vector<Task>& batch);
    void run_task(Task& task);
    void roll_back() noexcept;
    void make_room(bool idle) noexcept;

    std::filesystem::path file_;
    DatabaseLimits limits_;
    Counter& jobs_;
    Counter& commits_;
    Counter& failures_;
    Counter& waiting_;
    DirectoryLock lock_;
    Connection connection_;

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Task> queue_;
    bool stopping_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace diskless::db
