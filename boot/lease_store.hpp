// Where leases become durable. DHCP hands over a batch and sends its ACKs only when the batch is on disk; the store puts all batches that
// wait into one commit.
#pragma once

#include <functional>
#include <vector>

#include "boot/lease.hpp"

namespace diskless::boot {

class LeaseStore {
 public:
    /// `durable`: everything of the batch is on stable storage; otherwise nothing of it may be promised to a client.
    using Saved = std::move_only_function<void(bool durable)>;

    virtual ~LeaseStore() = default;
    /// From any thread; returns at once. `saved` is called exactly once, on a thread of the store's choosing: hand over to your own
    /// executor there. A lease replaces the one for the same address.
    virtual void save(std::vector<Lease> leases, Saved saved) = 0;
};

}  // namespace diskless::boot
