// Where persistent reservations (SPC-4) become durable: one text for each LUN of a target, whose meaning is the SCSI layer's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace diskless::boot {

class ReservationStore {
 public:
    using Saved = std::function<void(bool durable)>;

    virtual ~ReservationStore() = default;
    /// What was saved last, if anything. From any thread; from memory.
    [[nodiscard]] virtual std::optional<std::string> load(const std::string& target, std::uint16_t lun) const = 0;
    /// Replaces it; an empty state forgets it. `saved` is called exactly once, on any thread.
    virtual void save(const std::string& target, std::uint16_t lun, std::string state, Saved saved) = 0;
};

}  // namespace diskless::boot
