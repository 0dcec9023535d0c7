// Session: task management (RFC 7143 11.5, 11.6; SAM-5 7). A function is answered when nothing that it aborted can touch the disk any more.
#include <algorithm>
#include <utility>

#include "services/iscsi/control.hpp"

namespace diskless::iscsi {

using wire::TaskFunction;
using wire::TaskFunctionResponse;

void Session::abort_task(Task& task) {
    // A command that has ended is answered, before the function is: the queue keeps the order.
    if (task.aborted || task.phase == Task::Phase::responding) return;
    count(task, &IoStatistics::aborts);
    if (task.phase == Task::Phase::executing) {
        // A request with the disk cannot be called back; the task keeps its place until it ends, and is not answered.
        task.aborted = true;
        ++aborting_;
        if (const auto unit = units_->find(task.lun)) unit->let_go(task);
        return;
    }
    if (task.queued || &task == current_task_) {
        task.aborted = true;  // leaves with the queue, or with the data segment that is just arriving
        return;
    }
    if (task.phase == Task::Phase::waiting) std::erase(waiting_, &task);
    retire(task);
}

template<class Predicate>
void Session::abort_where(Predicate matches) {
    // From the end: a retired task's place is taken by the last one.
    for (std::size_t at = tasks_.size(); at-- != 0;) {
        Task& task = *tasks_.active()[at];
        if (matches(task)) abort_task(task);
    }
}

void Session::abort_all() {
    abort_where([](const Task&) { return true; });
}

void Session::abort(const AbortScope& scope) {
    if (!scope.initiator_ports.empty() && std::ranges::find(scope.initiator_ports, nexus_->initiator_port) == scope.initiator_ports.end())
        return;
    const auto before = statistics_.aborts.value();
    abort_where([&](const Task& task) { return scope.whole_target || task.lun == scope.lun; });
    if (!scope.clears || statistics_.aborts.value() == before) return;
    if (const auto unit = units_->find(scope.lun)) unit->attentions().post(nexus_->id, scsi::asc::commands_cleared_by_another_initiator);
}

void Session::manage(const wire::TaskManagementRequest& request) {
    bool waits_for_others = false;
    const TaskFunctionResponse response = start_function(request, waits_for_others);
    if (response != TaskFunctionResponse::function_complete) {
        wire::TaskManagementResponse{.response = response, .initiator_task_tag = request.initiator_task_tag}.encode(control(true).bhs);
        return;
    }
    functions_.push_back({.serial = ++function_serial_,
                          .initiator_task_tag = request.initiator_task_tag,
                          .waits_for_others = waits_for_others,
                          .closes = request.function == TaskFunction::target_cold_reset});
    if (waits_for_others) {
        const bool whole = request.function == TaskFunction::target_warm_reset || request.function == TaskFunction::target_cold_reset;
        const auto lun = wire::flat_lun(request.lun);
        host_.abort_others({.whole_target = whole, .clears = request.function == TaskFunction::clear_task_set, .lun = lun.value_or(0)},
                           [this, serial = functions_.back().serial] { others_aborted(serial); });
        if (request.function == TaskFunction::target_cold_reset) host_.drop_others();
    }
    answer_functions();
}

TaskFunctionResponse Session::start_function(const wire::TaskManagementRequest& request, bool& waits_for_others) {
    if (units_ == nullptr) return TaskFunctionResponse::function_rejected;
    const bool names_unit = request.function != TaskFunction::target_warm_reset && request.function != TaskFunction::target_cold_reset;
    const auto lun = wire::flat_lun(request.lun);
    const bool unit_exists = lun && units_->find(*lun) != nullptr;
    switch (request.function) {
        case TaskFunction::abort_task: {
            Task* task = tasks_.find(request.referenced_task_tag);
            if (request.referenced_task_tag == wire::reserved_tag || task == nullptr || task->lun_field != request.lun) {
                return TaskFunctionResponse::task_does_not_exist;
            }
            abort_task(*task);
            return TaskFunctionResponse::function_complete;
        }
        case TaskFunction::abort_task_set:
        case TaskFunction::clear_task_set:
        case TaskFunction::logical_unit_reset:
        case TaskFunction::target_warm_reset:
        case TaskFunction::target_cold_reset: {
            if (names_unit && !unit_exists) return TaskFunctionResponse::lun_does_not_exist;
            abort_where([&](const Task& task) { return !names_unit || task.lun == *lun; });
            waits_for_others = request.function != TaskFunction::abort_task_set;
            if (request.function == TaskFunction::logical_unit_reset) units_->reset_unit(*lun);
            if (!names_unit) units_->reset_all();
            return TaskFunctionResponse::function_complete;
        }
        case TaskFunction::task_reassign: return TaskFunctionResponse::reassignment_not_supported;
        case TaskFunction::clear_aca: return TaskFunctionResponse::function_not_supported;
    }
    return TaskFunctionResponse::function_rejected;
}

void Session::others_aborted(std::uint32_t function) {
    const auto waiting = std::ranges::find(functions_, function, &PendingFunction::serial);
    if (waiting != functions_.end()) waiting->waits_for_others = false;
    answer_functions();
}

void Session::answer_functions() {
    if (aborting_ != 0) return;
    while (!functions_.empty() && !functions_.front().waits_for_others) {
        const PendingFunction function = functions_.front();
        functions_.erase(functions_.begin());
        wire::TaskManagementResponse{.initiator_task_tag = function.initiator_task_tag}.encode(control(true).bhs);
        if (function.closes) closing_ = true;
    }
    if (answering_logout_ && !closing_) {
        wire::LogoutResponse{.initiator_task_tag = logout_tag_, .time2wait_s = parameters_.default_time2wait_s}.encode(control(true).bhs);
        closing_ = true;
    }
}

}  // namespace diskless::iscsi
