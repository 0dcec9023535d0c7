// Session: what leaves. Queue entries become PDUs here, with the sequence numbers of the moment.
#include <algorithm>
#include <utility>

#include "services/iscsi/control.hpp"

namespace diskless::iscsi {

void Session::send_task(Task& task) {
    if (!task.queued) outgoing_.push(task);
}

Session::Control& Session::control(bool takes_stat_sn) {
    std::unique_ptr<Control> made;
    if (free_controls_.empty()) {
        made = std::make_unique<Control>();
    } else {
        made = std::move(free_controls_.back());
        free_controls_.pop_back();
    }
    made->data.clear();
    made->takes_stat_sn = takes_stat_sn;
    outgoing_.push(*made);
    ++controls_queued_;
    return *controls_.emplace_back(std::move(made));
}

void Session::reject(wire::RejectReason reason) {
    statistics_.rejects.add();
    Control& answer = control(true);
    wire::Reject{.reason = reason}.encode(answer.bhs);
    answer.data.assign(current_.begin(), current_.end());
}

void Session::fail(std::string_view reason) noexcept {
    if (failure_.empty()) failure_ = reason;
    closing_ = true;
}

void Session::ping() {
    Control& ping = control(false);
    ping_tag_ = (ping_tag_ + 1) & 0x7fffffff;
    wire::NopIn{.target_transfer_tag = ping_tag_}.encode(ping.bhs);
}

void Session::request_logout(std::uint16_t seconds) {
    wire::AsyncMessage{.event = wire::AsyncEvent::logout_request, .parameter3 = seconds}.encode(control(true).bhs);
}

wire::SequenceNumbers Session::numbers(bool takes_stat_sn) noexcept {
    const wire::SequenceNumbers current{.stat_sn = stat_sn_, .exp_cmd_sn = window_.exp_cmd_sn(), .max_cmd_sn = window_.max_cmd_sn()};
    if (takes_stat_sn) ++stat_sn_;
    return current;
}

void Session::fill(Batch& batch) {
    while (!batch.full() && !outgoing_.empty()) {
        Outgoing& entry = *outgoing_.front();
        if (entry.kind == Outgoing::Kind::control) {
            outgoing_.pop();
            fill_control(static_cast<Control&>(entry), batch);
            continue;
        }
        Task& task = static_cast<Task&>(entry);
        if (task.aborted) {
            outgoing_.pop();
            if (&task != current_task_) retire(task);
        } else if (fill_task(task, batch)) {
            outgoing_.pop();
        }
    }
    statistics_.queue_depth.set(tasks_.size());
}

void Session::sent(Batch& batch) {
    for (Outgoing* entry : batch.releases()) {
        if (entry->kind == Outgoing::Kind::task) {
            retire(static_cast<Task&>(*entry));
            continue;
        }
        --controls_queued_;
        const auto owner = std::ranges::find(controls_, entry, [](const auto& held) -> const Outgoing* { return held.get(); });
        free_controls_.push_back(std::move(*owner));
        controls_.erase(owner);
    }
    batch.clear();
    if (!waiting_.empty()) memory_available();
}

void Session::fill_control(Control& entry, Batch& batch) {
    numbers(entry.takes_stat_sn).encode(entry.bhs);
    batch.add(entry.bhs, entry.data, parameters_.digests, &entry);
}

/// True when the task has nothing more to say for now.
bool Session::fill_task(Task& task, Batch& batch) {
    if (task.phase == Task::Phase::receiving) {
        fill_r2ts(task, batch);
        return !task.write.r2t_due();
    }
    if (!task.read.done() && !fill_data_in(task, batch)) return false;
    if (task.sends_response) {
        if (batch.full()) return false;
        fill_response(task, batch);
    }
    return true;
}

void Session::fill_r2ts(Task& task, Batch& batch) {
    while (!batch.full() && task.write.r2t_due()) {
        const auto burst = *task.write.next_r2t();
        wire::Bhs bhs;
        wire::R2t{.lun = task.lun_field,
                  .initiator_task_tag = task.initiator_task_tag,
                  .target_transfer_tag = task.serial << 16 | burst.r2t_sn,
                  .numbers = numbers(false),
                  .r2t_sn = burst.r2t_sn,
                  .buffer_offset = burst.offset,
                  .desired_data_transfer_length = burst.length}
            .encode(bhs);
        batch.add(bhs, {}, parameters_.digests, nullptr);
        count(task, &IoStatistics::r2ts);
        ++task.data_pdus;
    }
}

/// False: the batch is full before the data is out.
bool Session::fill_data_in(Task& task, Batch& batch) {
    while (!task.read.done()) {
        if (batch.full()) return false;
        const auto segment = task.read.next();
        const bool carries_status = segment.last && !task.sends_response;
        if (carries_status) {
            count_latency(task);
            leave_window(task);
            tasks_.forget_tag(task);
        }
        wire::DataIn header{.final = segment.final,
                            .has_status = carries_status,
                            .lun = task.lun_field,
                            .initiator_task_tag = task.initiator_task_tag,
                            .numbers = numbers(carries_status),
                            .data_sn = segment.data_sn,
                            .buffer_offset = segment.offset};
        if (!carries_status) header.numbers.stat_sn = 0;
        wire::Bhs bhs;
        header.encode(bhs);
        batch.add(bhs, task.buffer.span().subspan(segment.offset, segment.length), parameters_.digests, carries_status ? &task : nullptr);
        unsent_bytes_ -= segment.length;
        ++task.data_pdus;
    }
    return true;
}

void Session::fill_response(Task& task, Batch& batch) {
    count_latency(task);
    leave_window(task);
    tasks_.forget_tag(task);
    std::size_t sense_bytes = 0;
    if (task.status == scsi::Status::check_condition) {
        const auto sense = scsi::encode_sense(task.sense, task.descriptor_sense);
        store_be(task.sense_bytes, 0, static_cast<std::uint16_t>(sense.size));
        std::ranges::copy(sense.span(), task.sense_bytes.begin() + 2);
        sense_bytes = 2 + sense.size;
    }
    wire::Bhs bhs;
    wire::ScsiResponse{.residual = task.residual,
                       .status = static_cast<std::uint8_t>(task.status),
                       .initiator_task_tag = task.initiator_task_tag,
                       .numbers = numbers(true),
                       .exp_data_sn = task.data_pdus}
        .encode(bhs);
    batch.add(bhs, ByteSpan{task.sense_bytes}.first(sense_bytes), parameters_.digests, &task);
}

void Session::trim() noexcept {
    if (!idle()) return;
    tasks_.trim();
    free_controls_.clear();
    free_controls_.shrink_to_fit();
}

}  // namespace diskless::iscsi
