// Task: one SCSI command from its arrival to its status on the wire. Objects are pooled per session; the data buffer comes from the
// BufferPool for as long as the command needs it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "services/iscsi/buffer_pool.hpp"
#include "services/iscsi/data_transfer.hpp"
#include "services/iscsi/outgoing.hpp"
#include "services/iscsi/scsi/command.hpp"
#include "services/iscsi/scsi/sense.hpp"
#include "services/iscsi/statistics.hpp"
#include "services/iscsi/wire/responses.hpp"

namespace diskless::iscsi {

class Task;

/// Whoever takes a finished command back onto its session's strand.
class TaskSink {
 public:
    /// From any thread, exactly once for each execution that was pending.
    virtual void task_finished(Task& task) noexcept = 0;

 protected:
    ~TaskSink() = default;
};

class Task final : public scsi::Command, public Outgoing {
 public:
    explicit Task(TaskSink& sink) noexcept : Outgoing{Kind::task}, sink_{&sink} {}

    enum class Phase : std::uint8_t {
        receiving,   ///< waits for data-out
        waiting,     ///< waits for memory
        executing,   ///< with the logical unit
        responding,  ///< data-in and status are queued or leaving
    };

    void finished() noexcept override { sink_->task_finished(*this); }

    Phase phase = Phase::receiving;
    bool aborted = false;        ///< never answered (SAM-5 5.3.1, TAS=0)
    bool in_window = false;      ///< holds a place in the command window
    bool data_broken = false;    ///< a Data-Out was wrong or damaged
    bool sends_response = true;  ///< status goes in its own SCSI Response
    std::uint32_t initiator_task_tag = 0;
    std::uint32_t serial = 0;  ///< names the task in target transfer tags
    std::uint64_t lun_field = 0;
    std::uint32_t expected_in = 0;   ///< Expected Data Transfer Length of a command with the R bit
    std::uint32_t expected_out = 0;  ///< the same with the W bit
    std::uint32_t wanted_out = 0;    ///< what the command takes of expected_out
    scsi::Transfer transfer;
    wire::Residual residual;
    WriteTransfer write;
    ReadTransfer read;
    IoStatistics* lun_statistics = nullptr;         ///< none where there is no such LUN
    std::chrono::steady_clock::time_point arrived;  ///< its header
    std::uint32_t data_pdus = 0;                    ///< Data-In and R2T PDUs sent: ExpDataSN of the response
    Buffer buffer;
    std::array<std::byte, 16> cdb_bytes{};
    std::vector<std::byte> extended_cdb;
    std::array<std::byte, 2 + scsi::max_sense_bytes> sense_bytes{};  ///< SenseLength and the sense data (RFC 7143 11.4.7)
    Task* next_finished = nullptr;                                   ///< the sink's own

 private:
    TaskSink* sink_;
};

/// The tasks of one session. Lookup by Initiator Task Tag scans a dense array: a window's worth of tags is a few cache lines.
class TaskSet {
 public:
    explicit TaskSet(TaskSink& sink) noexcept : sink_{sink} {}
    TaskSet(const TaskSet&) = delete;
    TaskSet& operator=(const TaskSet&) = delete;
    ~TaskSet();

    [[nodiscard]] Task& start(std::uint32_t initiator_task_tag);
    void end(Task& task) noexcept;
    [[nodiscard]] Task* find(std::uint32_t initiator_task_tag) const noexcept;
    /// The status is on its way: the initiator may use the tag again before the task object is free.
    void forget_tag(const Task& task) noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return active_.size(); }
    [[nodiscard]] const std::vector<Task*>& active() const noexcept { return active_; }
    /// Keeps a few free task objects and lets the rest go.
    void trim() noexcept;

 private:
    static constexpr std::size_t idle_tasks = 4;

    TaskSink& sink_;
    std::vector<std::uint32_t> tags_;  // parallel to active_
    std::vector<Task*> active_;
    std::vector<std::unique_ptr<Task>> free_;
    std::uint32_t next_serial_ = 0;
};

}  // namespace diskless::iscsi
