// Attentions: the unit attentions that wait for each nexus of a logical unit (SAM-5 5.14). Any thread; asking when nothing waits costs one
// atomic load.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

class Attentions {
 public:
    /// Kept per nexus; of more, the newest are dropped: 29/00 already says "look at everything again".
    static constexpr std::size_t max_per_nexus = 8;

    void attach(const ITNexus& nexus);
    void detach(const ITNexus& nexus);

    [[nodiscard]] bool none() const noexcept { return pending_.load(std::memory_order_acquire) == 0; }
    /// The oldest that waits for the nexus; it waits no more.
    [[nodiscard]] std::optional<std::uint16_t> take(std::uint64_t nexus);

    void post(std::uint64_t nexus, std::uint16_t asc_ascq);
    /// For all nexuses of an initiator port.
    void post_to_port(std::string_view initiator_port, std::uint16_t asc_ascq);
    /// For all but one (nullptr: for all).
    void post_to_others(const ITNexus* except, std::uint16_t asc_ascq);
    /// What a nexus need no longer be told, because it has just found out.
    void withdraw(const ITNexus& nexus, std::uint16_t asc_ascq);

 private:
    struct Queue {
        std::string initiator_port;
        std::vector<std::uint16_t> waiting;
    };
    void push(Queue& queue, std::uint16_t asc_ascq);

    std::mutex mutex_;
    std::map<std::uint64_t, Queue> queues_;
    std::atomic<std::size_t> pending_{0};
};

}  // namespace diskless::scsi
