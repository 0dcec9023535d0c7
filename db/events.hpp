// EventStore: the audit trail: what was changed, by whom or why. The newest ones are kept.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "db/database.hpp"

namespace diskless::db {

struct AuditEvent {
    std::int64_t id = 0;
    std::chrono::sys_time<std::chrono::milliseconds> at;
    std::string kind;     ///< stable, like the events of the log: "client.enrolled"
    std::string subject;  ///< the client, target … it is about
    std::string detail;   ///< for people; already escaped
};

class EventStore {
 public:
    static constexpr std::int64_t max_events = 100'000;  // some 20 MB

    explicit EventStore(Database& database) : database_{&database} {}

    /// From any thread; returns at once. `id` is given by the store. What cannot be kept is logged.
    void record(AuditEvent event);
    /// The newest first.
    [[nodiscard]] asio::awaitable<std::vector<AuditEvent>> newest(std::size_t count);

 private:
    Database* database_;
};

}  // namespace diskless::db
