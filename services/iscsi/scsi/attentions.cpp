#include "services/iscsi/scsi/attentions.hpp"

#include <algorithm>

namespace diskless::scsi {

void Attentions::attach(const ITNexus& nexus) {
    const std::lock_guard lock{mutex_};
    queues_.try_emplace(nexus.id, Queue{nexus.initiator_port, {}});
}

void Attentions::detach(const ITNexus& nexus) {
    const std::lock_guard lock{mutex_};
    const auto found = queues_.find(nexus.id);
    if (found == queues_.end()) return;
    pending_.fetch_sub(found->second.waiting.size(), std::memory_order_release);
    queues_.erase(found);
}

std::optional<std::uint16_t> Attentions::take(std::uint64_t nexus) {
    const std::lock_guard lock{mutex_};
    const auto found = queues_.find(nexus);
    if (found == queues_.end() || found->second.waiting.empty()) return std::nullopt;
    const std::uint16_t oldest = found->second.waiting.front();
    found->second.waiting.erase(found->second.waiting.begin());
    pending_.fetch_sub(1, std::memory_order_release);
    return oldest;
}

void Attentions::push(Queue& queue, std::uint16_t asc_ascq) {
    if (queue.waiting.size() >= max_per_nexus || std::ranges::find(queue.waiting, asc_ascq) != queue.waiting.end()) return;
    queue.waiting.push_back(asc_ascq);
    pending_.fetch_add(1, std::memory_order_release);
}

void Attentions::post(std::uint64_t nexus, std::uint16_t asc_ascq) {
    const std::lock_guard lock{mutex_};
    if (const auto found = queues_.find(nexus); found != queues_.end()) push(found->second, asc_ascq);
}

void Attentions::post_to_port(std::string_view initiator_port, std::uint16_t asc_ascq) {
    const std::lock_guard lock{mutex_};
    for (auto& [nexus, queue] : queues_) {
        if (queue.initiator_port == initiator_port) push(queue, asc_ascq);
    }
}

void Attentions::post_to_others(const ITNexus* except, std::uint16_t asc_ascq) {
    const std::lock_guard lock{mutex_};
    for (auto& [nexus, queue] : queues_) {
        if (except == nullptr || nexus != except->id) push(queue, asc_ascq);
    }
}

void Attentions::withdraw(const ITNexus& nexus, std::uint16_t asc_ascq) {
    if (none()) return;
    const std::lock_guard lock{mutex_};
    if (const auto found = queues_.find(nexus.id); found != queues_.end())
        pending_.fetch_sub(std::erase(found->second.waiting, asc_ascq), std::memory_order_release);
}

}  // namespace diskless::scsi
