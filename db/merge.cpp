#include "db/merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

namespace diskless::db {
namespace {

constexpr std::size_t max_name_length = 63;  // config's, which is a host name label's

using Names = std::set<std::string, std::less<>>;
using Renames = std::map<std::string, std::string, std::less<>>;

template<class Taken>
std::string first_free(std::string_view wanted, const Taken& is_taken) {
    std::string name{wanted};
    for (unsigned n = 2; is_taken(name); ++n) {
        const std::string suffix = fmt::format("-{}", n);
        name = std::string{wanted.substr(0, max_name_length - suffix.size())} + suffix;
    }
    return name;
}

/// What the declarations take.
struct Claims {
    explicit Claims(const boot::CatalogData& declared) {
        for (const boot::ClientEntry& client : declared.clients) {
            macs.insert(client.macs.begin(), client.macs.end());
            if (client.uuid) uuids.insert(*client.uuid);
            if (client.address) addresses.insert(*client.address);
        }
    }
    std::unordered_set<MacAddress> macs;
    std::set<Uuid> uuids;
    std::set<Ipv4Address> addresses;
};

template<class Entries>
Names names_of(const Entries& entries) {
    Names names;
    for (const auto& entry : entries) names.insert(entry.name);
    return names;
}

/// Run-time entries whose name a declaration wants get a free one.
template<class Entry>
Renames rename_taken(std::vector<Entry>& kept, const Names& declared, Names& all, std::string_view what, std::vector<MergeNote>& notes) {
    Renames renames;
    for (Entry& entry : kept) {
        if (!declared.contains(entry.name)) continue;
        std::string name = first_free(entry.name, [&](const std::string& candidate) { return all.contains(candidate); });
        all.insert(name);
        notes.push_back({"catalog.renamed", fmt::format("{}={} name={} reason=declared", what, entry.name, name)});
        renames.emplace(std::exchange(entry.name, name), name);
    }
    return renames;
}

bool is_same_machine(const boot::ClientEntry& a, const boot::ClientEntry& b) {
    return (a.uuid && a.uuid == b.uuid) ||
           std::ranges::any_of(a.macs, [&](MacAddress mac) { return std::ranges::find(b.macs, mac) != b.macs.end(); });
}

void yield_identity(boot::ClientEntry& client, const Claims& claims, std::vector<MergeNote>& notes) {
    const auto lost = [&](std::string_view key, const auto& value) {
        notes.push_back({"catalog.lost", fmt::format("client={} {}={} reason=declared", client.name, key, value)});
    };
    std::erase_if(client.macs, [&](MacAddress mac) {
        if (!claims.macs.contains(mac)) return false;
        lost("mac", mac);
        return true;
    });
    if (client.uuid && claims.uuids.contains(*client.uuid)) {
        lost("uuid", *client.uuid);
        client.uuid.reset();
    }
    if (client.address && claims.addresses.contains(*client.address)) {
        lost("address", *client.address);
        client.address.reset();
    }
}

void follow_images(std::vector<boot::Disk>& disks, const Renames& images) {
    for (boot::Disk& disk : disks) {
        auto* const source = std::get_if<boot::ImageSource>(&disk.source);
        if (source == nullptr) continue;
        const auto at = std::min(source->image.find('@'), source->image.size());
        if (const auto found = images.find(std::string_view{source->image}.substr(0, at)); found != images.end())
            source->image.replace(0, at, found->second);
    }
}

template<class Entry>
std::vector<Entry> made_at_run_time(const std::vector<Entry>& stored) {
    std::vector<Entry> kept;
    std::ranges::copy_if(stored, std::back_inserter(kept), [](const Entry& entry) { return !entry.declared; });
    return kept;
}

template<class Entry>
std::vector<Entry> together(std::vector<Entry> declared, std::vector<Entry> kept) {
    std::ranges::move(kept, std::back_inserter(declared));
    std::ranges::sort(declared, {}, &Entry::name);
    return declared;
}

void drop_declared_machines(std::vector<boot::ClientEntry>& kept, const boot::CatalogData& declared, std::vector<MergeNote>& notes) {
    std::map<std::string_view, const boot::ClientEntry*> by_name;
    for (const boot::ClientEntry& client : declared.clients) by_name.emplace(client.name, &client);
    std::erase_if(kept, [&](const boot::ClientEntry& client) {
        const auto found = by_name.find(client.name);
        if (found == by_name.end() || !is_same_machine(client, *found->second)) return false;
        notes.push_back({"catalog.declared", fmt::format("client={} was=\"made at run time\"", client.name)});
        return true;
    });
}

}  // namespace

std::string free_name(std::string_view wanted, const std::vector<std::string_view>& taken) {
    const auto is_taken = [&](std::string_view candidate) { return std::ranges::find(taken, candidate) != taken.end(); };
    const std::size_t open = wanted.find("{n");
    const std::size_t close = wanted.find('}', open);
    if (open == std::string_view::npos || close == std::string_view::npos) return first_free(wanted, is_taken);
    for (unsigned n = 1;; ++n) {
        std::string name = fmt::format("{}{:0{}}{}", wanted.substr(0, open), n, close - open - 1, wanted.substr(close + 1));
        if (!is_taken(name)) return name;
    }
}

Merged merge_declared(const boot::CatalogData& stored, const boot::CatalogData& declared) {
    Merged merged;
    std::vector<boot::Image> images = made_at_run_time(stored.images);
    std::vector<boot::Group> groups = made_at_run_time(stored.groups);
    std::vector<boot::ClientEntry> clients = made_at_run_time(stored.clients);
    std::vector<boot::Target> targets = made_at_run_time(stored.targets);
    drop_declared_machines(clients, declared, merged.notes);

    const Names declared_images = names_of(declared.images);
    const Names declared_groups = names_of(declared.groups);
    // Clients and targets share the iSCSI names "<prefix>:<name>".
    Names declared_targets = names_of(declared.targets);
    declared_targets.merge(names_of(declared.clients));
    const auto all = [](const Names& wanted, const auto&... kept) {
        Names names = wanted;
        (names.merge(names_of(kept)), ...);
        return names;
    };
    Names image_names = all(declared_images, images);
    Names group_names = all(declared_groups, groups);
    Names target_names = all(declared_targets, clients, targets);

    const Renames renamed_images = rename_taken(images, declared_images, image_names, "image", merged.notes);
    const Renames renamed_groups = rename_taken(groups, declared_groups, group_names, "group", merged.notes);
    rename_taken(clients, declared_targets, target_names, "client", merged.notes);
    rename_taken(targets, declared_targets, target_names, "target", merged.notes);

    const Claims claims{declared};
    for (boot::ClientEntry& client : clients) {
        yield_identity(client, claims, merged.notes);
        if (const auto found = renamed_groups.find(client.group); found != renamed_groups.end()) client.group = found->second;
        if (client.settings.disks) follow_images(*client.settings.disks, renamed_images);
    }
    for (boot::Group& group : groups) {
        if (group.settings.disks) follow_images(*group.settings.disks, renamed_images);
    }
    for (boot::Target& target : targets) follow_images(target.luns, renamed_images);

    merged.catalog = {.images = together(declared.images, std::move(images)),
                      .groups = together(declared.groups, std::move(groups)),
                      .clients = together(declared.clients, std::move(clients)),
                      .targets = together(declared.targets, std::move(targets)),
                      .tools = together(declared.tools, {}),
                      .next_boots = stored.next_boots};
    return merged;
}

}  // namespace diskless::db
