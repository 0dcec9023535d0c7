#include "services/iscsi/task.hpp"

#include <algorithm>

namespace diskless::iscsi {
namespace {
/// Target transfer tags are serial << 16 | R2TSN; 15 bits keep them clear of the reserved tag.
constexpr std::uint32_t serial_mask = 0x7fff;
}  // namespace

TaskSet::~TaskSet() {
    for (Task* task : active_) delete task;
}

Task& TaskSet::start(std::uint32_t initiator_task_tag) {
    std::unique_ptr<Task> task;
    if (free_.empty()) {
        task = std::make_unique<Task>(sink_);
    } else {
        task = std::move(free_.back());
        free_.pop_back();
    }
    task->initiator_task_tag = initiator_task_tag;
    task->serial = next_serial_++ & serial_mask;
    tags_.push_back(initiator_task_tag);
    active_.push_back(task.get());
    return *task.release();
}

void TaskSet::end(Task& task) noexcept {
    const auto at = std::ranges::find(active_, &task) - active_.begin();
    active_[static_cast<std::size_t>(at)] = active_.back();
    tags_[static_cast<std::size_t>(at)] = tags_.back();
    active_.pop_back();
    tags_.pop_back();
    task.reset();
    task.aborted = task.in_window = task.data_broken = false;
    task.sends_response = true;
    task.phase = Task::Phase::receiving;
    task.expected_in = task.expected_out = task.wanted_out = task.data_pdus = 0;
    task.transfer = {};
    task.residual = {};
    task.write = {};
    task.read = {};
    task.buffer.release();
    task.extended_cdb.clear();
    free_.emplace_back(&task);
}

Task* TaskSet::find(std::uint32_t initiator_task_tag) const noexcept {
    const auto found = std::ranges::find(tags_, initiator_task_tag);
    return found == tags_.end() ? nullptr : active_[static_cast<std::size_t>(found - tags_.begin())];
}

void TaskSet::forget_tag(const Task& task) noexcept {
    const auto at = std::ranges::find(active_, &task) - active_.begin();
    tags_[static_cast<std::size_t>(at)] = wire::reserved_tag;
}

void TaskSet::trim() noexcept {
    if (free_.size() > idle_tasks) free_.resize(idle_tasks);
    free_.shrink_to_fit();
}

}  // namespace diskless::iscsi
