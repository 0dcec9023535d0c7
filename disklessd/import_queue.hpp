// ImportQueue: imports, one after another on a thread of its own. Each is remembered in the store before it begins; an interrupted one is
// gone on with at the next start. The order of its steps makes a version appear whole or not at all:
//   the file is made under a working name and synced · the job says `storing` and which number · the file gets its name · the version's row
//   and the job's end are one commit.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "boot/image.hpp"
#include "disklessd/importing/import.hpp"

namespace diskless {

class ImportQueue {
 public:
    struct Deps {
        std::filesystem::path data_dir;
        boot::ImageStore& store;
        std::function<unsigned(const std::string& image)> reserve_number;
        std::function<void(const boot::ImportJob& job)> commit;  ///< makes job.result a version and keeps the job, in one commit
        importing::Limits limits;
    };

    explicit ImportQueue(Deps deps);
    /// Breaks off what is under way.
    ~ImportQueue() = default;
    ImportQueue(const ImportQueue&) = delete;
    ImportQueue& operator=(const ImportQueue&) = delete;

    /// Takes up what was interrupted, removes what is nobody's, and begins. Once. Blocks.
    void start();

    // Any thread that may wait.
    boot::OrRefusal<boot::ImportJob> add(boot::ImportJob job);
    boot::OrRefusal<boot::ImportJob> cancel(std::uint64_t id);
    /// The newest last.
    [[nodiscard]] std::vector<boot::ImportJob> jobs() const;

 private:
    void serve(const std::stop_token& stop);
    void perform(boot::ImportJob job, const std::stop_token& stop);
    void make(boot::ImportJob& job, const std::stop_token& stop);
    void decide(boot::ImportJob& job);
    void store(boot::ImportJob& job);
    void end(boot::ImportJob job, boot::ImportJob::State state, std::string error);
    void remember(const boot::ImportJob& job);
    void forget_old_ones();
    void sweep() const;
    [[nodiscard]] std::filesystem::path working_file(const boot::ImportJob& job) const;
    [[nodiscard]] boot::ImportJob* find(std::uint64_t id);

    Deps deps_;
    importing::Progress progress_;
    mutable std::mutex mutex_;
    std::condition_variable_any arrived_;
    std::vector<boot::ImportJob> jobs_;
    std::uint64_t current_ = 0;   ///< the id of the one under way; 0: none
    bool is_cancelled_ = false;   ///< that one, by order
    std::stop_source break_off_;  ///< of that one: it is cancelled, or the server stops
    std::jthread thread_;         // last: it ends first
};

}  // namespace diskless
