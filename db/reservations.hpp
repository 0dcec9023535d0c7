// ReservationStore: persistent reservations on disk (boot/reservation_store.hpp); read once at start, then answered from memory.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "boot/reservation_store.hpp"
#include "db/database.hpp"

namespace diskless::db {

class ReservationStore final : public boot::ReservationStore {
 public:
    /// `database` outlives the store. Waits for the disk: at start only.
    explicit ReservationStore(Database& database);

    [[nodiscard]] std::optional<std::string> load(const std::string& target, std::uint16_t lun) const override;
    void save(const std::string& target, std::uint16_t lun, std::string state, Saved saved) override;

 private:
    Database& database_;
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, std::uint16_t>, std::string> states_;
};

}  // namespace diskless::db
