// Session: the full feature phase of one session on its one connection, as a machine (RFC 7143 4.2, 7, 11): PDUs in, PDUs out, commands to
// the logical units. MaxConnections=1 and ErrorRecoveryLevel=0, so session and connection end together. Pure: no socket, no clock.
//
// In:   begin(header) says where the data segment belongs, end() acts on the whole PDU.
// Out:  fill() puts what is ready into a batch; sent() takes it back once it has left.
// Everything is called on the session's strand; only TaskSink::task_finished() comes from elsewhere and returns here by complete().
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "services/iscsi/buffer_pool.hpp"
#include "services/iscsi/command_window.hpp"
#include "services/iscsi/outgoing.hpp"
#include "services/iscsi/parameters.hpp"
#include "services/iscsi/scsi/lun_map.hpp"
#include "services/iscsi/statistics.hpp"
#include "services/iscsi/task.hpp"
#include "services/iscsi/text_exchange.hpp"
#include "services/iscsi/wire/requests.hpp"
#include "services/iscsi/wire/responses.hpp"

namespace diskless::iscsi {

/// Which tasks of a target a reset takes with it.
struct AbortScope {
    bool whole_target = false;
    bool clears = false;                       ///< CLEAR TASK SET: whoever loses a command by it is told by a unit attention
    std::uint16_t lun = 0;                     ///< without whole_target
    std::vector<std::string> initiator_ports;  ///< only theirs; empty: everybody's
};

/// What a session needs of the world around it. Called on the session's strand.
class SessionHost {
 public:
    virtual ~SessionHost() = default;
    /// The answer to SendTargets=`value` (RFC 7143 appendix C), keys and all; nothing: refused.
    [[nodiscard]] virtual std::optional<std::string> send_targets(std::string_view value) = 0;
    /// Abort the tasks in `scope` of every other session of this target; `then` on the session's strand when none of them is left.
    virtual void abort_others(AbortScope scope, std::function<void()> then) = 0;
    /// TARGET COLD RESET: end every other session of this target.
    virtual void drop_others() = 0;
    /// The first block read or write of the session.
    virtual void first_access(bool write) = 0;
};

struct SessionSetup {
    Parameters parameters;
    SessionType type = SessionType::normal;
    Limits limits;
    std::uint32_t cmd_sn = 0;   ///< of the login
    std::uint32_t stat_sn = 0;  ///< the next to send
    std::uint16_t cid = 0;
    const scsi::ITNexus* nexus = nullptr;
    scsi::LunMap* units = nullptr;  ///< none in a discovery session
};

class Session {
 public:
    Session(const SessionSetup& setup, SessionHost& host, TaskSink& sink, BufferWaiter& waiter, BufferPool& buffers,
            SessionStatistics& statistics);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    struct Placement {
        enum class Kind : std::uint8_t {
            discard,  ///< nobody wants the data segment
            store,    ///< it belongs at `into`
            collect,  ///< hand it to end()
        };
        Kind kind = Kind::discard;
        MutableByteSpan into;  ///< exactly as long as the data segment
    };
    [[nodiscard]] Placement begin(ByteSpan bhs, ByteSpan ahs);
    /// The data segment has arrived. `collected`: only for Placement::collect.
    void end(ByteSpan collected, bool data_digest_holds);

    void fill(Batch& batch);
    void sent(Batch& batch);

    /// The time it is now, as far as latencies go: told once for everything that happens together.
    void set_time(std::chrono::steady_clock::time_point now) noexcept { now_ = now; }

    /// A command whose execution was pending has ended.
    void complete(Task& task);
    /// The pool may have memory again.
    void memory_available();
    /// On behalf of another session's reset; then wait for aborts_done().
    void abort(const AbortScope& scope);

    /// A NOP-In that asks for an answer (RFC 7143 11.19); some firmware never gives one.
    void ping();
    /// Asynchronous message: please log out within so many seconds.
    void request_logout(std::uint16_t seconds);
    /// No more answers; executing commands run to their end.
    void abort_all();

    [[nodiscard]] bool wants_to_send() const noexcept { return !outgoing_.empty(); }
    /// Data read and not yet in a batch: it is best sent while the CPU's cache still has it.
    [[nodiscard]] std::uint64_t unsent_bytes() const noexcept { return unsent_bytes_; }
    /// The peer is not reading its answers: do not read its requests.
    [[nodiscard]] bool congested() const noexcept { return controls_queued_ >= max_controls; }
    /// Nothing that was aborted can touch a disk any more.
    [[nodiscard]] bool aborts_done() const noexcept { return aborting_ == 0; }
    /// It has memory, and waits for its peer alone.
    [[nodiscard]] bool holds_memory_idly() const noexcept { return held_bytes_ != 0 && executing_ == 0; }
    /// No command is with a logical unit.
    [[nodiscard]] bool quiet() const noexcept { return executing_ == 0; }
    /// No command is under way at all.
    [[nodiscard]] bool idle() const noexcept { return tasks_.size() == 0 && outgoing_.empty(); }
    /// Everything has been said (logout) or nothing more can be (the peer broke the protocol): close once the outgoing queue is empty.
    [[nodiscard]] bool closing() const noexcept { return closing_; }
    [[nodiscard]] std::string_view failure() const noexcept { return failure_; }  ///< static; empty: none
    [[nodiscard]] std::uint32_t queue_depth() const noexcept { return static_cast<std::uint32_t>(tasks_.size()); }
    [[nodiscard]] const Parameters& parameters() const noexcept { return parameters_; }
    /// What the session's commands to one LUN have done.
    struct LunStatistics {
        std::uint64_t lun = 0;
        IoStatistics io;
    };
    [[nodiscard]] const std::vector<std::unique_ptr<LunStatistics>>& lun_statistics() const noexcept { return lun_statistics_; }
    void trim() noexcept;

    /// Control PDUs (everything but data and status) waiting to leave.
    static constexpr std::size_t max_controls = 64;
    /// Commands marked immediate do not respect the window; these are allowed beyond it.
    static constexpr std::size_t max_immediate_tasks = 16;
    /// Data of one session's commands together, as far as it can wait: a peer that takes or sends slowly must not hold everybody's memory.
    static constexpr std::uint64_t max_held_bytes = std::uint64_t{8} << 20;

 private:
    struct Control;
    struct PendingFunction {
        std::uint32_t serial = 0;
        std::uint32_t initiator_task_tag = 0;
        bool waits_for_others = false;
        bool closes = false;  ///< the session ends with the answer
    };

    // Receiving (session.cpp)
    Placement begin_command(ByteSpan bhs, ByteSpan ahs);
    Placement begin_data_out(ByteSpan bhs);
    Placement place_command(Task& task, const wire::ScsiCommand& request, std::uint32_t immediate_bytes);
    void end_command(Task& task, bool data_digest_holds);
    void end_data_out(Task& task, bool data_digest_holds);
    void end_request(ByteSpan data);
    void end_nop_out(ByteSpan data);
    void end_text(ByteSpan data);
    void end_logout();
    [[nodiscard]] bool in_order(std::uint32_t cmd_sn, bool immediate);
    [[nodiscard]] std::string answer_text(const std::string& text, bool& refused);
    Placement drop() noexcept { return {}; }
    Placement reject_with(wire::RejectReason reason);

    // Commands (session_commands.cpp)
    void proceed(Task& task);
    void execute(Task& task);
    void executed(Task& task);
    [[nodiscard]] bool has_memory(Task& task);
    [[nodiscard]] bool provide_buffer(Task& task, BufferPool::Urgency urgency);
    [[nodiscard]] bool over_share(std::size_t more) const noexcept;
    void wait_for_memory(Task& task);
    void release_buffer(Task& task) noexcept;
    void fail_transfer(Task& task, std::uint16_t asc_ascq);
    void finish(Task& task, bool executed);
    void leave_window(Task& task) noexcept;
    void retire(Task& task) noexcept;
    void note_first_access(const Task& task);
    [[nodiscard]] IoStatistics* statistics_of(std::uint64_t lun);
    void count(Task& task, Tally IoStatistics::* tally, std::uint64_t n = 1) noexcept;
    void count_latency(Task& task) noexcept;

    // Task management (session_functions.cpp)
    void manage(const wire::TaskManagementRequest& request);
    void abort_task(Task& task);
    [[nodiscard]] wire::TaskFunctionResponse start_function(const wire::TaskManagementRequest& request, bool& waits_for_others);
    void others_aborted(std::uint32_t function);
    void answer_functions();
    template<class Predicate>
    void abort_where(Predicate matches);

    // Sending (session_output.cpp)
    void send_task(Task& task);
    Control& control(bool takes_stat_sn);
    void reject(wire::RejectReason reason);
    void fail(std::string_view reason) noexcept;
    bool fill_task(Task& task, Batch& batch);
    void fill_r2ts(Task& task, Batch& batch);
    bool fill_data_in(Task& task, Batch& batch);
    void fill_response(Task& task, Batch& batch);
    void fill_control(Control& control, Batch& batch);
    [[nodiscard]] wire::SequenceNumbers numbers(bool takes_stat_sn) noexcept;

    SessionHost& host_;
    BufferWaiter& waiter_;
    BufferPool& buffers_;
    SessionStatistics& statistics_;
    std::vector<std::unique_ptr<LunStatistics>> lun_statistics_;
    std::chrono::steady_clock::time_point now_;
    Parameters parameters_;
    SessionType type_;
    Limits limits_;
    std::uint16_t cid_;
    const scsi::ITNexus* nexus_;
    scsi::LunMap* units_;

    CommandWindow window_;
    std::uint32_t stat_sn_;
    TaskSet tasks_;
    std::deque<Task*> waiting_;  // for memory, in order
    std::uint64_t held_bytes_ = 0;
    std::uint64_t unsent_bytes_ = 0;
    TextExchange text_;
    std::vector<PendingFunction> functions_;
    std::uint32_t function_serial_ = 0;

    OutgoingQueue outgoing_;
    std::vector<std::unique_ptr<Control>> controls_;  // queued or leaving
    std::vector<std::unique_ptr<Control>> free_controls_;
    std::size_t controls_queued_ = 0;

    wire::Bhs current_{};  // the PDU between begin() and end()
    Task* current_task_ = nullptr;
    bool current_ignored_ = false;  // already dealt with, or outside the window
    std::uint32_t ping_tag_ = 0;
    std::uint32_t executing_ = 0;  // commands with a logical unit
    std::uint32_t aborting_ = 0;   // of these, aborted
    bool closing_ = false;
    bool answering_logout_ = false;
    std::uint32_t logout_tag_ = 0;
    std::string_view failure_;
    bool seen_read_ = false, seen_write_ = false;
};

}  // namespace diskless::iscsi
