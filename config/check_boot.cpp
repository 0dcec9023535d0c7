#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "config/checks.hpp"

namespace diskless::config {
namespace {

void check_luns(const Declaration& declaration, const std::vector<boot::Disk>& disks, const std::vector<DiskPlaces>& places) {
    std::map<std::uint16_t, Place> luns;
    for (std::size_t i = 0; i < disks.size(); ++i) {
        if (!places[i].lun) continue;
        const auto [first, is_new] = luns.emplace(disks[i].lun, places[i].lun);
        if (!is_new)
            declaration.findings.add(places[i].lun,
                                     fmt::format("LUN {} is already used at {}", disks[i].lun, declaration.findings.at(first->second)),
                                     "give every disk its own lun");
    }
}

/// A group as a client sees it, and where it is written.
struct PlacedGroup {
    const boot::Group* group = nullptr;
    const GroupPlaces* places = nullptr;
};

/// One declared client with its group; or the group alone, as an enrolled client will have it.
class BootCheck {
 public:
    BootCheck(const Declaration& declaration, const boot::ClientEntry& entry, const ClientPlaces* places, PlacedGroup group)
        : findings_{&declaration.findings}, entry_{&entry}, places_{places}, group_{group}, client_{boot::resolve(entry, group.group)} {}

    /// `said` keeps what was found in a group from being said again for each of its clients.
    void run(std::set<Place>& said) const {
        if (const auto [problem, remedy] = what_is_missing(); !problem.empty()) {
            const Place where = place();
            const bool in_group = group_.places != nullptr && where == group_place();
            if (in_group && !said.insert(where).second) return;
            findings_->add(
                where,
                fmt::format("{} {} {}", in_group ? "group" : "client", in_quotes(in_group ? group_.group->name : client_.name), problem),
                remedy);
        }
    }

 private:
    struct Missing {
        std::string problem, remedy;
    };

    [[nodiscard]] Missing what_is_missing() const {
        switch (client_.boot) {
            case boot::BootMethod::sanboot:
                if (has_boot_disk()) return {};
                return {"boots from its disk (sanboot) but has none with LUN 0",
                        "add disks = [ { lun = 0, … } ], or write boot = \"local\""};
            case boot::BootMethod::kernel:
                if (!client_.kernel.cmdline.empty()) return {};
                return {"boots a kernel but has no cmdline", "add cmdline = \"root=LABEL=root ro ip=dhcp {iscsi}\""};
            case boot::BootMethod::script:
                if (!client_.script.empty()) return {};
                return {"boots a script but names none", "add script = \"…\", a path below the boot root"};
            case boot::BootMethod::menu:
            case boot::BootMethod::local: break;
        }
        return {};
    }

    /// A disk whose lun is wrong counts: that was said already.
    [[nodiscard]] bool has_boot_disk() const {
        const bool own = entry_->settings.disks.has_value();
        const auto* const places = own && places_ != nullptr  ? &places_->settings.disks
                                   : group_.places != nullptr ? &group_.places->settings.disks
                                                              : nullptr;
        for (std::size_t i = 0; i < client_.disks.size(); ++i) {
            if (client_.disks[i].lun == 0 || (places != nullptr && !(*places)[i].lun)) return true;
        }
        return false;
    }

    [[nodiscard]] Place group_place() const {
        const SettingsPlaces& settings = group_.places->settings;
        return settings.boot ? settings.boot : group_.places->name;
    }

    /// The client's own boot line; its group's when the client says nothing of its boot; the client itself otherwise.
    [[nodiscard]] Place place() const {
        if (places_ == nullptr) return group_place();
        if (places_->settings.boot) return places_->settings.boot;
        const auto& own = entry_->settings;
        const bool says_nothing = !own.disks && !own.cmdline && !own.script;
        if (says_nothing && group_.places != nullptr && group_.group->settings.boot) return group_place();
        return places_->name;
    }

    Findings* findings_;
    const boot::ClientEntry* entry_;
    const ClientPlaces* places_;
    PlacedGroup group_;
    boot::Client client_;
};

}  // namespace

void check_boot(const Declaration& declaration) {
    const boot::CatalogData& declared = declaration.config.declared;
    const Places& places = declaration.places;
    std::map<std::string_view, PlacedGroup> groups;
    for (std::size_t i = 0; i < declared.groups.size(); ++i) {
        groups.emplace(declared.groups[i].name, PlacedGroup{&declared.groups[i], &places.groups[i]});
        if (const auto& disks = declared.groups[i].settings.disks) check_luns(declaration, *disks, places.groups[i].settings.disks);
    }
    for (std::size_t i = 0; i < declared.targets.size(); ++i) check_luns(declaration, declared.targets[i].luns, places.targets[i].luns);

    std::set<Place> said;
    const auto group_named = [&](const std::string& name) {
        const auto found = groups.find(name);
        return found == groups.end() || name.empty() ? PlacedGroup{} : found->second;
    };
    for (std::size_t i = 0; i < declared.clients.size(); ++i) {
        const boot::ClientEntry& client = declared.clients[i];
        if (client.settings.disks) check_luns(declaration, *client.settings.disks, places.clients[i].settings.disks);
        const PlacedGroup group = group_named(client.group);
        if (!client.group.empty() && group.group == nullptr) continue;  // nobody knows what it would have inherited
        BootCheck{declaration, client, &places.clients[i], group}.run(said);
    }
    const UnknownClients& unknown = declaration.config.unknown_clients;
    if (const PlacedGroup group = group_named(unknown.group); unknown.policy == UnknownPolicy::enroll && group.group != nullptr)
        BootCheck{declaration, boot::ClientEntry{}, nullptr, group}.run(said);
}

}  // namespace diskless::config
