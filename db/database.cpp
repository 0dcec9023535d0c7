#include "db/database.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "common/log.hpp"

namespace diskless::db {

Database::Database(const std::filesystem::path& data_dir, CounterRegistry& counters, DatabaseLimits limits)
    : file_{data_dir / "diskless.db"},
      limits_{limits},
      jobs_{counters.counter("diskless_db_jobs_total")},
      commits_{counters.counter("diskless_db_commits_total")},
      failures_{counters.counter("diskless_db_failures_total")},
      waiting_{counters.counter("diskless_db_waiting_jobs")},
      lock_{data_dir},
      connection_{open_database(file_, limits.busy_timeout)},
      thread_{[this] { serve(); }} {}

Database::~Database() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    arrived_.notify_one();
    thread_.join();
}

void Database::submit(Job job, Done done) {
    jobs_.add();
    const std::string_view refusal = enqueue(job, done);
    if (refusal.empty()) {
        arrived_.notify_one();
    } else {
        failures_.add();
        done(std::make_exception_ptr(StoreError{std::string{refusal}}));
    }
}

void Database::wait_for(Job job) {
    struct Answer {
        std::mutex mutex;
        std::condition_variable given;
        bool is_given = false;
        std::exception_ptr error;
    };
    // Shared: the database's thread may still be inside notify_one() when the waiting one goes on.
    const auto answer = std::make_shared<Answer>();
    submit(std::move(job), [answer](std::exception_ptr error) {
        {
            const std::lock_guard lock{answer->mutex};
            answer->error = std::move(error);
            answer->is_given = true;
        }
        answer->given.notify_one();
    });
    std::unique_lock lock{answer->mutex};
    answer->given.wait(lock, [&] { return answer->is_given; });
    if (answer->error) std::rethrow_exception(std::exchange(answer->error, nullptr));
}

/// Takes job and completion over, or says why not.
std::string_view Database::enqueue(Job& job, Done& done) {
    const std::lock_guard lock{mutex_};
    if (stopping_) return "the database is closing";
    if (queue_.size() >= limits_.max_queue) return "too many writes wait for the database";
    queue_.push_back({std::move(job), std::move(done), nullptr});
    waiting_.add();
    return {};
}

void Database::serve() {
    std::vector<Task> batch;
    while (take(batch)) {
        commit(batch);
        for (Task& task : batch) task.done(std::exchange(task.error, nullptr));
        batch.clear();
        make_room(false);
    }
}

/// Everything that waits, up to a limit; false when it is over.
bool Database::take(std::vector<Task>& batch) {
    std::unique_lock lock{mutex_};
    const auto something_to_do = [this] { return stopping_ || !queue_.empty(); };
    if (!arrived_.wait_for(lock, limits_.idle, something_to_do)) {
        lock.unlock();
        make_room(true);
        lock.lock();
        arrived_.wait(lock, something_to_do);
    }
    if (queue_.empty()) return false;
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), limits_.max_batch));
    std::move(queue_.begin(), end, std::back_inserter(batch));
    queue_.erase(queue_.begin(), end);
    waiting_.sub(batch.size());
    return true;
}

void Database::commit(std::vector<Task>& batch) {
    // What ended the transaction as a whole: a full disk may do that in the middle, and then nobody's work is in it any more.
    std::optional<StoreError> lost;
    const std::uint64_t commits_before = connection_.commits();
    try {
        connection_.execute("BEGIN IMMEDIATE");
        for (Task& task : batch) {
            run_task(task);
            if (!connection_.in_transaction()) throw StoreError{"the transaction was lost with another job's"};
        }
        connection_.execute("COMMIT");
    } catch (const StoreError& error) {
        lost = error;
        roll_back();
    }
    for (Task& task : batch) {
        // Each its own: an exception that is shared would be freed by whichever thread is last.
        if (lost && !task.error) task.error = std::make_exception_ptr(StoreError{std::string{lost->what()}, lost->sqlite_code()});
        if (task.error) failures_.add();
    }
    commits_.add(connection_.commits() - commits_before);
}

void Database::roll_back() noexcept {
    try {
        if (connection_.in_transaction()) connection_.execute("ROLLBACK");
    } catch (const StoreError& error) {
        log::error("db.failed", "step=rollback reason=\"{}\"", error.what());
    }
}

/// One job inside the batch's transaction: if it fails, its own changes go and the others' stay.
void Database::run_task(Task& task) {
    try {
        connection_.execute("SAVEPOINT job");
        task.job(connection_);
        connection_.execute("RELEASE job");
    } catch (...) {
        task.error = std::current_exception();
        if (connection_.in_transaction()) connection_.execute("ROLLBACK TO job; RELEASE job");
    }
}

/// Empties the log where nobody has to wait for it: a checkpoint inside a commit costs 6 to 30 ms.
void Database::make_room(bool idle) noexcept {
    const int pages = connection_.wal_pages();
    bool waited_for = false;
    {
        const std::lock_guard lock{mutex_};
        waited_for = !queue_.empty();
    }
    try {
        if (idle && pages > 0) {
            connection_.checkpoint(Connection::Checkpoint::truncate);
        } else if (pages >= limits_.max_wal_pages || (pages >= limits_.checkpoint_pages && !waited_for)) {
            connection_.checkpoint(Connection::Checkpoint::passive);
        }
    } catch (const std::exception& error) {
        // Nothing is lost: the log keeps what could not be moved, and the next commits say what is wrong.
        log::warn("db.checkpoint_failed", "reason=\"{}\"", error.what());
    }
}

}  // namespace diskless::db
