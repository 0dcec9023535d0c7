#include "db/catalog.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/log.hpp"
#include "db/await.hpp"
#include "db/catalog_rows.hpp"
#include "db/merge.hpp"

namespace diskless::db {
namespace {

Merged synchronise_rows(Connection& connection, const boot::CatalogData& declared) {
    const boot::CatalogData present = read_catalog(connection);
    Merged merged = merge_declared(present, declared);
    write_changes(connection, present, merged.catalog);
    return merged;
}

/// Only once it is on disk: until then none of it has happened.
boot::CatalogData told(Merged merged) {
    for (const MergeNote& note : merged.notes) log::warn(note.event, "{}", note.fields);
    return std::move(merged.catalog);
}

CatalogStore::Enrolled enroll_row(Connection& connection, boot::ClientEntry client) {
    const boot::CatalogData catalog = read_catalog(connection);
    const auto has_one_of_its_macs = [&](const boot::ClientEntry& other) {
        return std::ranges::any_of(other.macs, [&](MacAddress mac) { return std::ranges::find(client.macs, mac) != client.macs.end(); });
    };
    // Two requests of one machine may be under way at once: the second finds what the first made.
    if (const auto known = std::ranges::find_if(catalog.clients, has_one_of_its_macs); known != catalog.clients.end()) {
        return {*known};
    }
    std::vector<std::string_view> taken;
    taken.reserve(catalog.clients.size() + catalog.targets.size());
    for (const boot::ClientEntry& other : catalog.clients) taken.push_back(other.name);
    for (const boot::Target& target : catalog.targets) taken.push_back(target.name);
    client.name = free_name(client.name, taken);
    client.declared = false;
    insert(connection, client);
    return {std::move(client)};
}

}  // namespace

boot::CatalogData CatalogStore::synchronise_at_start(boot::CatalogData declared) {
    return told(database_->run([&](Connection& connection) { return synchronise_rows(connection, declared); }));
}

asio::awaitable<boot::CatalogData> CatalogStore::synchronise(boot::CatalogData declared) {
    Merged merged = co_await ask(
        *database_, [declared = std::move(declared)](Connection& connection) { return synchronise_rows(connection, declared); });
    co_return told(std::move(merged));
}

boot::CatalogData CatalogStore::load() { return database_->run(read_catalog); }

void CatalogStore::set_next_boot(const std::string& client, const std::string& choice) {
    database_->run([&](Connection& connection) {
        if (choice.empty()) {
            connection.statement("DELETE FROM next_boots WHERE client = ?").run(client);
        } else {
            connection.statement("INSERT OR REPLACE INTO next_boots (client, choice) VALUES (?, ?)").run(client, choice);
        }
    });
}

asio::awaitable<bool> CatalogStore::take_next_boot(std::string client, std::string choice) {
    return ask(*database_, [client = std::move(client), choice = std::move(choice)](Connection& connection) {
        Statement removed = connection.statement("DELETE FROM next_boots WHERE client = ? AND choice = ? RETURNING client");
        removed.bind(client, choice);
        bool taken = false;
        while (removed.step()) taken = true;
        return taken;
    });
}

asio::awaitable<CatalogStore::Enrolled> CatalogStore::enroll(boot::ClientEntry client) {
    return ask(*database_, [client = std::move(client)](Connection& connection) { return enroll_row(connection, client); });
}

}  // namespace diskless::db
