#include "db/events.hpp"

#include <utility>

#include "common/log.hpp"
#include "db/await.hpp"

namespace diskless::db {
namespace {

using std::chrono::milliseconds;

void insert(Connection& connection, const AuditEvent& event) {
    connection.statement("INSERT INTO events (at, kind, subject, detail) VALUES (?, ?, ?, ?)")
        .run(event.at.time_since_epoch().count(), event.kind, event.subject, event.detail);
    connection.statement("DELETE FROM events WHERE id <= ?").run(connection.integer("SELECT last_insert_rowid()") - EventStore::max_events);
}

std::vector<AuditEvent> read_newest(Connection& connection, std::size_t count) {
    std::vector<AuditEvent> events;
    Statement row = connection.statement("SELECT id, at, kind, subject, detail FROM events ORDER BY id DESC LIMIT ?");
    row.bind(count);
    while (row.step()) {
        events.push_back({.id = row.integer(0),
                          .at = std::chrono::sys_time<milliseconds>{milliseconds{row.integer(1)}},
                          .kind = std::string{row.text(2)},
                          .subject = std::string{row.text(3)},
                          .detail = std::string{row.text(4)}});
    }
    return events;
}

}  // namespace

void EventStore::record(AuditEvent event) {
    std::string kind = event.kind;
    database_->submit([event = std::move(event)](Connection& connection) { insert(connection, event); },
                      [kind = std::move(kind)](std::exception_ptr error) {
                          if (!error) return;
                          try {
                              std::rethrow_exception(error);
                          } catch (const std::exception& reason) {
                              log::warn("event.not_recorded", "kind={} reason=\"{}\"", kind, reason.what());
                          }
                      });
}

asio::awaitable<std::vector<AuditEvent>> EventStore::newest(std::size_t count) {
    return ask(*database_, [count](Connection& connection) { return read_newest(connection, count); });
}

}  // namespace diskless::db
