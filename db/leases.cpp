#include "db/leases.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <array>
#include <string_view>
#include <utility>

#include "common/log.hpp"

namespace diskless::db {
namespace {

using boot::Lease;
using boot::LeaseState;
using boot::Seconds;

constexpr std::array<std::pair<LeaseState, std::string_view>, 3> states{
    {{LeaseState::bound, "bound"}, {LeaseState::released, "released"}, {LeaseState::declined, "declined"}}};

std::string_view name_of(LeaseState state) noexcept {
    for (const auto& [value, name] : states) {
        if (value == state) return name;
    }
    return {};
}

LeaseState state_of(std::string_view name) {
    for (const auto& [value, known] : states) {
        if (known == name) return value;
    }
    throw StoreError{fmt::format("a lease in the database has state '{}'", name), SQLITE_CORRUPT};
}

void write(Connection& connection, const Lease& lease) {
    connection
        .statement(
            "INSERT INTO leases (address, mac, client_id, host_name, state, starts, expires) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (address) DO UPDATE SET mac = excluded.mac, client_id = excluded.client_id, host_name = excluded.host_name, "
            "state = excluded.state, starts = excluded.starts, expires = excluded.expires")
        .run(lease.address.text(), lease.mac.text(), as_bytes(lease.client_id), as_bytes(lease.host_name), name_of(lease.state),
             lease.starts.time_since_epoch().count(), lease.expires.time_since_epoch().count());
}

std::vector<Lease> read_all(Connection& connection) {
    std::vector<Lease> leases;
    Statement row = connection.statement("SELECT address, mac, client_id, host_name, state, starts, expires FROM leases");
    while (row.step()) {
        const auto address = Ipv4Address::parse(row.text(0));
        const auto mac = MacAddress::parse(row.text(1));
        if (!address || !mac)
            throw StoreError{fmt::format("a lease in the database has address '{}' and MAC '{}'", row.text(0), row.text(1)),
                             SQLITE_CORRUPT};
        leases.push_back({.address = *address,
                          .mac = *mac,
                          .client_id = std::string{row.text(2)},
                          .host_name = std::string{row.text(3)},
                          .state = state_of(row.text(4)),
                          .starts = Seconds{std::chrono::seconds{row.integer(5)}},
                          .expires = Seconds{std::chrono::seconds{row.integer(6)}}});
    }
    return leases;
}

}  // namespace

void LeaseStore::submit(Database::Job job, Saved saved) {
    database_->submit(std::move(job), [failing = failing_, saved = std::move(saved)](std::exception_ptr error) mutable {
        // Said once when it begins and once when it is over, not for every packet of a storm.
        if (error && !failing->exchange(true)) {
            try {
                std::rethrow_exception(error);
            } catch (const std::exception& reason) {
                log::error("lease.not_saved", "reason=\"{}\" effect=\"no address is promised until this works again\"", reason.what());
            }
        } else if (!error && failing->exchange(false)) {
            log::info("lease.saved_again");
        }
        saved(error == nullptr);
    });
}

void LeaseStore::save(std::vector<Lease> leases, Saved saved) {
    submit(
        [leases = std::move(leases)](Connection& connection) {
            for (const Lease& lease : leases) write(connection, lease);
        },
        std::move(saved));
}

std::vector<Lease> LeaseStore::load_at_start() { return database_->run(read_all); }

void LeaseStore::erase(std::vector<Ipv4Address> addresses, Saved erased) {
    submit(
        [addresses = std::move(addresses)](Connection& connection) {
            for (const Ipv4Address address : addresses) connection.statement("DELETE FROM leases WHERE address = ?").run(address.text());
        },
        std::move(erased));
}

void LeaseStore::erase_expired(Seconds limit, Saved erased) {
    submit(
        [limit](Connection& connection) {
            connection.statement("DELETE FROM leases WHERE expires < ?").run(limit.time_since_epoch().count());
        },
        std::move(erased));
}

}  // namespace diskless::db
