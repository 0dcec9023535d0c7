#include "db/reservations.hpp"

#include "common/log.hpp"

namespace diskless::db {

ReservationStore::ReservationStore(Database& database) : database_{database} {
    states_ = database_.run([](Connection& connection) {
        std::map<std::pair<std::string, std::uint16_t>, std::string> states;
        Statement row = connection.statement("SELECT target, lun, state FROM reservations");
        while (row.step())
            states.emplace(std::pair{std::string{row.text(0)}, static_cast<std::uint16_t>(row.integer(1))}, std::string{row.text(2)});
        return states;
    });
}

std::optional<std::string> ReservationStore::load(const std::string& target, std::uint16_t lun) const {
    const std::lock_guard lock{mutex_};
    const auto found = states_.find({target, lun});
    return found == states_.end() ? std::nullopt : std::optional{found->second};
}

void ReservationStore::save(const std::string& target, std::uint16_t lun, std::string state, Saved saved) {
    {
        const std::lock_guard lock{mutex_};
        if (state.empty()) {
            states_.erase({target, lun});
        } else {
            states_.insert_or_assign({target, lun}, state);
        }
    }
    database_.submit(
        [target, lun, state = std::move(state)](Connection& connection) {
            if (state.empty()) {
                connection.statement("DELETE FROM reservations WHERE target = ? AND lun = ?").run(target, lun);
            } else {
                connection
                    .statement(
                        "INSERT INTO reservations (target, lun, state) VALUES (?, ?, ?) "
                        "ON CONFLICT (target, lun) DO UPDATE SET state = excluded.state")
                    .run(target, lun, state);
            }
        },
        [saved = std::move(saved)](std::exception_ptr error) {
            if (error) log::error("reservation.not_saved", "effect=\"the initiator is told that its order failed\"");
            saved(error == nullptr);
        });
}

}  // namespace diskless::db
