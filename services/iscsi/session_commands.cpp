// Session: a command's way from its data to its status.
#include <algorithm>
#include <utility>

#include "services/iscsi/control.hpp"

namespace diskless::iscsi {
namespace {

using Direction = scsi::Transfer::Direction;

/// Parameter data is read in full even when the initiator expects less: the residual then tells how much there is.
std::uint64_t data_in_room(const Task& task) noexcept {
    if (task.transfer.length_bytes <= scsi::max_parameter_bytes) return task.transfer.length_bytes;
    // Whole blocks, whatever the initiator expects of them.
    constexpr std::uint64_t block = 4096;
    const std::uint64_t expected = (std::uint64_t{task.expected_in} + block - 1) / block * block;
    return std::min(task.transfer.length_bytes, expected);
}

/// The memory that a command which can wait will need.
std::size_t task_room(const Task& task) noexcept {
    return task.transfer.direction == Direction::data_in ? data_in_room(task) : task.wanted_out;
}

enum class Access : std::uint8_t { none, read, write };

Access access_of(ByteSpan cdb) noexcept {
    switch (wire::u8_at(cdb, 0)) {
        case 0x08:
        case 0x28:
        case 0xa8:
        case 0x88: return Access::read;
        case 0x0a:
        case 0x2a:
        case 0xaa:
        case 0x8a: return Access::write;
        default: return Access::none;
    }
}

/// RFC 7143 11.4.5: `total` is what the command would move, `moved` what it does, `expected` what the initiator announced.
wire::Residual residual_of(std::uint64_t total, std::uint64_t moved, std::uint32_t expected) noexcept {
    if (total > expected) return {.overflow = true, .count = static_cast<std::uint32_t>(total - expected)};
    if (moved < expected) return {.underflow = true, .count = static_cast<std::uint32_t>(expected - moved)};
    return {};
}

}  // namespace

IoStatistics* Session::statistics_of(std::uint64_t lun) {
    for (const auto& known : lun_statistics_) {
        if (known->lun == lun) return &known->io;
    }
    if (units_->find(lun) == nullptr) return nullptr;
    lun_statistics_.push_back(std::make_unique<LunStatistics>());
    lun_statistics_.back()->lun = lun;
    return &lun_statistics_.back()->io;
}

void Session::count(Task& task, Tally IoStatistics::* tally, std::uint64_t n) noexcept {
    (statistics_.*tally).add(n);
    if (task.lun_statistics != nullptr) (task.lun_statistics->*tally).add(n);
}

void Session::count_latency(Task& task) noexcept {
    const auto taken = std::chrono::duration_cast<std::chrono::microseconds>(now_ - task.arrived);
    statistics_.latency.add(taken);
    if (task.lun_statistics != nullptr) task.lun_statistics->latency.add(taken);
}

/// The next step of a command whose data may have come: memory, an R2T, execution.
void Session::proceed(Task& task) {
    if (task.transfer.direction == Direction::data_out && task.wanted_out != 0) {
        if (!has_memory(task)) return wait_for_memory(task);
        if (task.write.r2t_due()) return send_task(task);
        if (!task.write.complete()) return;
    } else if (task.transfer.direction == Direction::data_in && data_in_room(task) != 0) {
        if (!has_memory(task)) return wait_for_memory(task);
    }
    execute(task);
}

/// Who came first is served first.
bool Session::has_memory(Task& task) {
    if (task.buffer) return true;
    return waiting_.empty() && provide_buffer(task, BufferPool::Urgency::can_wait);
}

bool Session::provide_buffer(Task& task, BufferPool::Urgency urgency) {
    if (task.buffer) return true;
    std::size_t room = task_room(task);
    // Unsolicited data may exceed what the command takes of it; it has to lie somewhere.
    if (urgency == BufferPool::Urgency::overdraft)
        room = std::max<std::size_t>(room, std::min(parameters_.first_burst_length, task.expected_out));
    if (urgency == BufferPool::Urgency::can_wait && over_share(room)) return false;
    task.buffer = buffers_.allocate(room, urgency);
    held_bytes_ += task.buffer.span().size();
    return static_cast<bool>(task.buffer);
}

void Session::release_buffer(Task& task) noexcept {
    held_bytes_ -= task.buffer.span().size();
    task.buffer.release();
}

void Session::wait_for_memory(Task& task) {
    task.phase = Task::Phase::waiting;
    waiting_.push_back(&task);
    memory_available();
}

bool Session::over_share(std::size_t more) const noexcept { return held_bytes_ != 0 && held_bytes_ + more > max_held_bytes; }

void Session::memory_available() {
    while (!waiting_.empty()) {
        Task& task = *waiting_.front();
        if (!provide_buffer(task, BufferPool::Urgency::can_wait)) {
            if (over_share(task_room(task))) return;  // our own answers have to leave first
            // Registered first, tried once more after: what is given back in between is not missed.
            buffers_.wait(waiter_);
            if (!provide_buffer(task, BufferPool::Urgency::can_wait)) return;
        }
        waiting_.pop_front();
        task.phase = Task::Phase::receiving;
        proceed(task);
    }
}

void Session::execute(Task& task) {
    if (task.transfer.direction == Direction::data_in) {
        task.data = task.buffer.span().first(data_in_room(task));
    } else {
        task.data = task.buffer.span().first(task.wanted_out);
    }
    task.phase = Task::Phase::executing;
    note_first_access(task);
    if (units_->execute(task) == storage::Started::completed) return executed(task);
    ++executing_;
}

void Session::executed(Task& task) {
    if (task.preempted.empty()) return finish(task, true);
    // PREEMPT AND ABORT (SPC-4 5.12.11.2.6): has ended when nothing of the preempted ones can touch the disk any more.
    ++executing_;
    host_.abort_others({.lun = static_cast<std::uint16_t>(task.lun), .initiator_ports = std::exchange(task.preempted, {})},
                       [this, &task] { complete(task); });
}

void Session::note_first_access(const Task& task) {
    if (seen_read_ && seen_write_) return;
    const Access access = access_of(task.cdb);
    if (access == Access::read && !std::exchange(seen_read_, true)) host_.first_access(false);
    if (access == Access::write && !std::exchange(seen_write_, true)) host_.first_access(true);
}

void Session::complete(Task& task) {
    --executing_;
    if (task.aborted) {
        --aborting_;
        retire(task);
        answer_functions();
        return;
    }
    executed(task);
}

/// The command has its status; what is left is to tell the initiator.
void Session::finish(Task& task, bool executed) {
    std::uint64_t total = 0, moved = 0;
    const bool good = task.status == scsi::Status::good;
    if (task.transfer.direction == Direction::data_in) {
        // A room cut to what the initiator expects hides how much there is: then the CDB tells.
        const bool cut = task.data.size() < task.transfer.length_bytes && task.data_in_bytes == task.data.size();
        total = executed && good && cut ? task.transfer.length_bytes : task.data_in_bytes;
        moved = std::min<std::uint64_t>(task.data_in_bytes, task.expected_in);
        task.read = ReadTransfer{parameters_, static_cast<std::uint32_t>(moved)};
        count(task, &IoStatistics::read_bytes, moved);
        unsent_bytes_ += moved;
    } else {
        if (executed && task.transfer.direction == Direction::data_out) {
            total = task.transfer.length_bytes;
            moved = task.wanted_out;
            count(task, &IoStatistics::written_bytes, moved);
        }
        release_buffer(task);
    }
    task.residual = residual_of(total, moved, task.expected_in + task.expected_out);
    if (!good) count(task, &IoStatistics::errors);
    // iPXE takes the status in a Data-In for GOOD and for the exact end of its buffer: everything else goes in a SCSI Response.
    task.sends_response = !good || moved == 0 || task.transfer.direction != Direction::data_in || task.residual != wire::Residual{};
    task.phase = Task::Phase::responding;
    send_task(task);
}

/// A Data-Out was wrong: the command ends badly, and what else arrives for it is dropped.
void Session::fail_transfer(Task& task, std::uint16_t asc_ascq) {
    task.fail(scsi::SenseKey::aborted_command, asc_ascq);
    finish(task, false);
}

void Session::leave_window(Task& task) noexcept {
    if (std::exchange(task.in_window, false)) window_.task_ended();
}

void Session::retire(Task& task) noexcept {
    leave_window(task);
    release_buffer(task);
    tasks_.end(task);
}

}  // namespace diskless::iscsi
