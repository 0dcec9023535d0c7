#include "db/catalog_rows.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include <algorithm>
#include <ranges>
#include <unordered_map>
#include <unordered_set>

namespace diskless::db {
namespace {

// ---- values of columns ----

[[noreturn]] void damaged(std::string_view what, std::string_view value) {
    throw StoreError{fmt::format("the database holds a wrong {}: '{}'", what, value), SQLITE_CORRUPT};
}

template<class T>
T must(const std::optional<T>& value, std::string_view what, std::string_view text) {
    if (!value) damaged(what, text);
    return *value;
}

template<class T>
std::optional<T> parsed(const Statement& row, int column, std::string_view what) {
    if (row.is_null(column)) return std::nullopt;
    return must(T::parse(row.text(column)), what, row.text(column));
}

template<class T>
std::optional<std::string> text_of(const std::optional<T>& value) {
    return value ? std::optional{value->text()} : std::nullopt;
}

// ---- reading ----

std::vector<boot::DhcpOption> options_of(std::string_view text) {
    std::vector<boot::DhcpOption> options;
    for (const auto part : std::views::split(text, ',')) {
        const std::string_view option{part};
        if (!option.empty()) options.push_back(must(boot::DhcpOption::parse(option), "DHCP option", option));
    }
    return options;
}

constexpr std::string_view settings_columns =
    "boot, kernel, initrd, cmdline, script, loader, has_disks, dhcp_options, menu_default, menu_timeout_s, menu_password, tools, "
    "local_exit";

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    for (const auto part : std::views::split(text, ',')) {
        if (const std::string_view word{part}; !word.empty()) words.emplace_back(word);
    }
    return words;
}

/// settings_columns, from `column` on.
boot::BootSettings settings_of(const Statement& row, int column) {
    boot::BootSettings settings;
    if (!row.is_null(column)) settings.boot = must(boot::boot_method(row.text(column)), "boot method", row.text(column));
    settings.kernel = row.optional_text(column + 1);
    settings.initrd = row.optional_text(column + 2);
    settings.cmdline = row.optional_text(column + 3);
    settings.script = row.optional_text(column + 4);
    settings.loader = row.optional_text(column + 5);
    if (row.integer(column + 6) != 0) settings.disks.emplace();
    settings.dhcp_options = options_of(row.text(column + 7));
    settings.menu_default = row.optional_text(column + 8);
    if (!row.is_null(column + 9)) settings.menu_timeout = std::chrono::seconds{row.integer(column + 9)};
    settings.menu_password = row.optional_text(column + 10);
    if (!row.is_null(column + 11)) settings.tools = words_of(row.text(column + 11));
    if (!row.is_null(column + 12)) settings.local_exit = must(boot::local_exit(row.text(column + 12)), "local_exit", row.text(column + 12));
    return settings;
}

boot::Disk disk_of(const Statement& row) {
    boot::Disk disk{.lun = static_cast<std::uint16_t>(row.integer(3)), .description = std::string{row.text(8)}};
    const std::string_view source = row.text(4);
    const auto size_bytes = static_cast<std::uint64_t>(row.integer(6));
    if (source == "image") disk.source = boot::ImageSource{std::string{row.text(5)}};
    if (source == "blank") disk.source = boot::BlankSource{size_bytes};
    if (source == "file") disk.source = boot::FileSource{row.text(5), size_bytes};
    disk.mode = must(boot::disk_mode(row.text(7)), "disk mode", row.text(7));
    disk.block_bytes = static_cast<std::uint32_t>(row.integer(9));
    disk.physical_block_bytes = static_cast<std::uint32_t>(row.integer(10));
    disk.thin = row.integer(11) != 0;
    disk.removable = row.integer(12) != 0;
    disk.sanitize = row.integer(13) != 0;
    return disk;
}

template<class Entries>
auto index_of(Entries& entries) {
    std::unordered_map<std::string_view, decltype(&*entries.begin())> index;
    for (auto& entry : entries) index.emplace(entry.name, &entry);
    return index;
}

void read_disks(Connection& connection, boot::CatalogData& data) {
    const auto clients = index_of(data.clients);
    const auto groups = index_of(data.groups);
    const auto targets = index_of(data.targets);
    Statement row = connection.statement(
        "SELECT client, group_name, target, lun, source, name, size_bytes, mode, description, block_bytes, physical_block_bytes, thin, "
        "removable, sanitize FROM disks ORDER BY position");
    while (row.step()) {
        if (!row.is_null(0)) {
            if (auto& disks = clients.at(row.text(0))->settings.disks) disks->push_back(disk_of(row));
        } else if (!row.is_null(1)) {
            if (auto& disks = groups.at(row.text(1))->settings.disks) disks->push_back(disk_of(row));
        } else {
            targets.at(row.text(2))->luns.push_back(disk_of(row));
        }
    }
}

void read_client_lists(Connection& connection, boot::CatalogData& data) {
    const auto clients = index_of(data.clients);
    const auto targets = index_of(data.targets);
    Statement macs = connection.statement("SELECT client, mac FROM client_macs ORDER BY client, position");
    while (macs.step()) clients.at(macs.text(0))->macs.push_back(must(MacAddress::parse(macs.text(1)), "MAC address", macs.text(1)));
    Statement initiators = connection.statement("SELECT client, target, pattern FROM initiators ORDER BY position");
    while (initiators.step()) {
        auto& list = initiators.is_null(0) ? targets.at(initiators.text(1))->initiators : clients.at(initiators.text(0))->initiators;
        list.emplace_back(initiators.text(2));
    }
    Statement addresses = connection.statement("SELECT client, target, range FROM access_addresses ORDER BY position");
    while (addresses.step()) {
        auto& list = addresses.is_null(0) ? targets.at(addresses.text(1))->addresses : clients.at(addresses.text(0))->addresses;
        list.push_back(must(Ipv4Range::parse(addresses.text(2)), "range of addresses", addresses.text(2)));
    }
    Statement users = connection.statement("SELECT client, target, user FROM chap_users ORDER BY position");
    while (users.step()) {
        auto& list = users.is_null(0) ? targets.at(users.text(1))->chap : clients.at(users.text(0))->chap;
        list.emplace_back(users.text(2));
    }
}

// ---- writing ----

constexpr std::string_view settings_places = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?";

template<class Enum>
std::optional<std::string_view> name_of(const std::optional<Enum>& value) {
    return value ? std::optional{boot::name_of(*value)} : std::nullopt;
}

std::optional<std::int64_t> seconds_of(const std::optional<std::chrono::seconds>& time) {
    return time ? std::optional{std::int64_t{time->count()}} : std::nullopt;
}

std::optional<std::string> text_of(const std::optional<std::vector<std::string>>& words) {
    if (!words) return std::nullopt;
    return fmt::format("{}", fmt::join(*words, ","));
}

std::string text_of(const std::vector<boot::DhcpOption>& options) {
    std::string text;
    for (const boot::DhcpOption& option : options) text += (text.empty() ? "" : ",") + option.text();
    return text;
}

struct Owner {
    std::optional<std::string_view> client, group, target;
};

void insert_disks(Connection& connection, const Owner& owner, const std::vector<boot::Disk>& disks) {
    for (std::size_t i = 0; i < disks.size(); ++i) {
        const boot::Disk& disk = disks[i];
        std::string_view source = "blank";
        std::string name;
        std::uint64_t size_bytes = 0;
        if (const auto* const image = std::get_if<boot::ImageSource>(&disk.source)) {
            source = "image";
            name = image->image;
        } else if (const auto* const file = std::get_if<boot::FileSource>(&disk.source)) {
            source = "file";
            name = file->path.native();
            size_bytes = file->size_bytes;
        } else if (const auto* const blank = std::get_if<boot::BlankSource>(&disk.source)) {
            size_bytes = blank->size_bytes;
        }
        connection
            .statement(
                "INSERT INTO disks (client, group_name, target, position, lun, source, name, size_bytes, mode, description, "
                "block_bytes, physical_block_bytes, thin, removable, sanitize) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .run(owner.client, owner.group, owner.target, i, disk.lun, source, name, size_bytes, boot::name_of(disk.mode), disk.description,
                 disk.block_bytes, disk.physical_block_bytes, disk.thin ? 1 : 0, disk.removable ? 1 : 0, disk.sanitize ? 1 : 0);
    }
}

/// Who may log in to a client's or a target's disks: names, addresses, users.
template<class Entry>
void insert_access(Connection& connection, const Owner& owner, const Entry& entry) {
    for (std::size_t i = 0; i < entry.initiators.size(); ++i)
        connection.statement("INSERT INTO initiators (client, target, position, pattern) VALUES (?, ?, ?, ?)")
            .run(owner.client, owner.target, i, entry.initiators[i]);
    for (std::size_t i = 0; i < entry.addresses.size(); ++i)
        connection.statement("INSERT INTO access_addresses (client, target, position, range) VALUES (?, ?, ?, ?)")
            .run(owner.client, owner.target, i, entry.addresses[i].text());
    for (std::size_t i = 0; i < entry.chap.size(); ++i)
        connection.statement("INSERT INTO chap_users (client, target, position, user) VALUES (?, ?, ?, ?)")
            .run(owner.client, owner.target, i, entry.chap[i]);
}

void insert(Connection& connection, const boot::Image& image) {
    connection.statement("INSERT INTO images (name, file, declared) VALUES (?, ?, ?)").run(image.name, image.file.native(), image.declared);
}

void insert(Connection& connection, const boot::Group& group) {
    const boot::BootSettings& settings = group.settings;
    connection.statement(fmt::format("INSERT INTO groups (name, declared, {}) VALUES (?, ?, {})", settings_columns, settings_places))
        .run(group.name, group.declared, name_of(settings.boot), settings.kernel, settings.initrd, settings.cmdline, settings.script,
             settings.loader, settings.disks.has_value(), text_of(settings.dhcp_options), settings.menu_default,
             seconds_of(settings.menu_timeout), settings.menu_password, text_of(settings.tools), name_of(settings.local_exit));
    if (settings.disks) insert_disks(connection, {.group = group.name}, *settings.disks);
}

void insert(Connection& connection, const boot::Target& target) {
    connection.statement("INSERT INTO targets (name, declared, redirect) VALUES (?, ?, ?)")
        .run(target.name, target.declared, target.redirect);
    insert_access(connection, {.target = target.name}, target);
    insert_disks(connection, {.target = target.name}, target.luns);
}

void insert(Connection& connection, const boot::Tool& tool) {
    connection.statement("INSERT INTO tools (name, title, kernel, initrd, cmdline, iso, script, declared) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .run(tool.name, tool.title, tool.kernel, tool.initrd, tool.cmdline, tool.iso, tool.script, tool.declared);
}

/// Everything that changed goes before anything comes: a MAC may move from one client to another.
template<class Entry>
void replace_changed(Connection& connection, const std::vector<Entry>& present, const std::vector<Entry>& wanted, std::string_view remove) {
    const auto wanted_by_name = index_of(wanted);
    std::unordered_set<std::string_view> unchanged;
    for (const Entry& entry : present) {
        const auto found = wanted_by_name.find(entry.name);
        if (found != wanted_by_name.end() && *found->second == entry) {
            unchanged.insert(entry.name);
        } else {
            connection.statement(remove).run(entry.name);
        }
    }
    for (const Entry& entry : wanted) {
        if (!unchanged.contains(entry.name)) insert(connection, entry);
    }
}

}  // namespace

void insert(Connection& connection, const boot::ClientEntry& client) {
    const boot::BootSettings& settings = client.settings;
    connection
        .statement(fmt::format("INSERT INTO clients (name, declared, uuid, address, group_name, {}) VALUES (?, ?, ?, ?, ?, {})",
                               settings_columns, settings_places))
        .run(client.name, client.declared, text_of(client.uuid), text_of(client.address), client.group, name_of(settings.boot),
             settings.kernel, settings.initrd, settings.cmdline, settings.script, settings.loader, settings.disks.has_value(),
             text_of(settings.dhcp_options), settings.menu_default, seconds_of(settings.menu_timeout), settings.menu_password,
             text_of(settings.tools), name_of(settings.local_exit));
    for (std::size_t i = 0; i < client.macs.size(); ++i)
        connection.statement("INSERT INTO client_macs (mac, client, position) VALUES (?, ?, ?)").run(client.macs[i].text(), client.name, i);
    insert_access(connection, {.client = client.name}, client);
    if (settings.disks) insert_disks(connection, {.client = client.name}, *settings.disks);
}

boot::CatalogData read_catalog(Connection& connection) {
    boot::CatalogData data;
    Statement images = connection.statement("SELECT name, file, declared FROM images ORDER BY name");
    while (images.step()) data.images.push_back({std::string{images.text(0)}, images.text(1), images.integer(2) != 0});
    Statement groups = connection.statement(fmt::format("SELECT name, declared, {} FROM groups ORDER BY name", settings_columns));
    while (groups.step())
        data.groups.push_back(
            {.name = std::string{groups.text(0)}, .settings = settings_of(groups, 2), .declared = groups.integer(1) != 0});
    Statement clients = connection.statement(
        fmt::format("SELECT name, declared, uuid, address, group_name, {} FROM clients ORDER BY name", settings_columns));
    while (clients.step())
        data.clients.push_back({.name = std::string{clients.text(0)},
                                .uuid = parsed<Uuid>(clients, 2, "UUID"),
                                .address = parsed<Ipv4Address>(clients, 3, "address"),
                                .group = std::string{clients.text(4)},
                                .settings = settings_of(clients, 5),
                                .declared = clients.integer(1) != 0});
    Statement targets = connection.statement("SELECT name, declared, redirect FROM targets ORDER BY name");
    while (targets.step())
        data.targets.push_back(
            {.name = std::string{targets.text(0)}, .redirect = std::string{targets.text(2)}, .declared = targets.integer(1) != 0});
    Statement tools = connection.statement("SELECT name, title, kernel, initrd, cmdline, iso, script, declared FROM tools ORDER BY name");
    while (tools.step())
        data.tools.push_back({.name = std::string{tools.text(0)},
                              .title = std::string{tools.text(1)},
                              .kernel = std::string{tools.text(2)},
                              .initrd = std::string{tools.text(3)},
                              .cmdline = std::string{tools.text(4)},
                              .iso = std::string{tools.text(5)},
                              .script = std::string{tools.text(6)},
                              .declared = tools.integer(7) != 0});
    Statement next_boots = connection.statement("SELECT client, choice FROM next_boots");
    while (next_boots.step()) data.next_boots.emplace(next_boots.text(0), next_boots.text(1));
    read_client_lists(connection, data);
    read_disks(connection, data);
    return data;
}

void write_changes(Connection& connection, const boot::CatalogData& present, const boot::CatalogData& wanted) {
    replace_changed(connection, present.images, wanted.images, "DELETE FROM images WHERE name = ?");
    replace_changed(connection, present.groups, wanted.groups, "DELETE FROM groups WHERE name = ?");
    replace_changed(connection, present.clients, wanted.clients, "DELETE FROM clients WHERE name = ?");
    replace_changed(connection, present.targets, wanted.targets, "DELETE FROM targets WHERE name = ?");
    replace_changed(connection, present.tools, wanted.tools, "DELETE FROM tools WHERE name = ?");
}

}  // namespace diskless::db
