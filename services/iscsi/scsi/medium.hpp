// Medium: the medium of a removable unit: whether it is in, and who forbids to take it out (SPC-4 6.13, SBC-3 5.25). The caller serialises.
#pragma once

#include <atomic>
#include <set>

#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

class Medium {
 public:
    [[nodiscard]] bool is_out() const noexcept { return out_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool locked() const noexcept { return !preventing_.empty(); }

    void prevent(std::uint64_t nexus) { preventing_.insert(nexus); }
    void allow(std::uint64_t nexus) { preventing_.erase(nexus); }
    /// Resets end every prevention.
    void allow_all() { preventing_.clear(); }

    void eject() noexcept { out_ = true; }
    /// True: it was out.
    bool load() noexcept { return out_.exchange(false); }

 private:
    std::atomic<bool> out_{false};
    std::set<std::uint64_t> preventing_;
};

}  // namespace diskless::scsi
