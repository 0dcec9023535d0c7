#include "db/boots.hpp"

#include <utility>

#include "common/log.hpp"
#include "db/await.hpp"

namespace diskless::db {
namespace {

using std::chrono::milliseconds;
using Instant = std::chrono::sys_time<milliseconds>;

void insert(Connection& connection, const BootRecord& record) {
    const std::int64_t started = record.started.time_since_epoch().count();
    connection.statement("INSERT INTO boots (mac, client, started, finished, outcome) VALUES (?, ?, ?, ?, ?)")
        .run(record.mac.text(), record.client, started, started + record.duration.count(), record.outcome);
    const std::int64_t id = connection.integer("SELECT last_insert_rowid()");
    for (std::size_t i = 0; i < record.steps.size(); ++i)
        connection.statement("INSERT INTO boot_steps (boot, position, step, after_ms, detail) VALUES (?, ?, ?, ?, ?)")
            .run(id, i, record.steps[i].step, record.steps[i].after_start.count(), record.steps[i].detail);
    connection.statement("DELETE FROM boots WHERE id <= ?").run(id - BootStore::max_boots);
}

std::vector<BootRecord> read_newest(Connection& connection, std::size_t count, const std::string& client) {
    std::vector<BootRecord> records;
    Statement row = connection.statement(
        "SELECT id, mac, client, started, finished, outcome FROM boots WHERE ?1 = '' OR client = ?1 ORDER BY id DESC LIMIT ?2");
    row.bind(client, count);
    while (row.step()) {
        records.push_back({.id = row.integer(0),
                           .mac = MacAddress::parse(row.text(1)).value_or(MacAddress{}),
                           .client = std::string{row.text(2)},
                           .started = Instant{milliseconds{row.integer(3)}},
                           .duration = milliseconds{row.integer(4) - row.integer(3)},
                           .outcome = std::string{row.text(5)}});
    }
    for (BootRecord& record : records) {
        Statement step = connection.statement("SELECT step, after_ms, detail FROM boot_steps WHERE boot = ? ORDER BY position");
        step.bind(record.id);
        while (step.step()) record.steps.push_back({std::string{step.text(0)}, milliseconds{step.integer(1)}, std::string{step.text(2)}});
    }
    return records;
}

}  // namespace

void BootStore::keep(MacAddress mac, const boot::BootTimeline& timeline) {
    BootRecord record{.mac = mac,
                      .client = timeline.client(),
                      .started = std::chrono::floor<milliseconds>(timeline.started()),
                      .duration = timeline.duration(),
                      .outcome = timeline.finished() ? "running" : "stopped"};
    for (const auto& entry : timeline.entries())
        record.steps.push_back({std::string{boot::name_of(entry.step)}, entry.after_start, entry.detail});
    database_->submit([record = std::move(record)](Connection& connection) { insert(connection, record); },
                      [mac](std::exception_ptr error) {
                          if (!error) return;
                          try {
                              std::rethrow_exception(error);
                          } catch (const std::exception& reason) {
                              log::warn("boot.not_recorded", "mac={} reason=\"{}\"", mac, reason.what());
                          }
                      });
}

asio::awaitable<std::vector<BootRecord>> BootStore::newest(std::size_t count, std::string client) {
    return ask(*database_, [count, client = std::move(client)](Connection& connection) { return read_newest(connection, count, client); });
}

}  // namespace diskless::db
