#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "common/text.hpp"
#include "config/checks.hpp"
#include "config/names.hpp"

namespace diskless::config {
namespace {

using Names = std::map<std::string_view, Place>;  // declared names, and where first

/// Fills `names`; says where one stands twice.
template<class Entries, class EntryPlaces>
Names unique_names(const Declaration& declaration, const Entries& entries, const EntryPlaces& places, std::string_view what) {
    Names names;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].name.empty()) continue;  // missing or wrong: said already
        const auto [first, is_new] = names.emplace(entries[i].name, places[i].name);
        if (!is_new)
            declaration.findings.add(
                places[i].name,
                fmt::format("{} {} is already declared at {}", what, in_quotes(entries[i].name), declaration.findings.at(first->second)),
                "give it another name");
    }
    return names;
}

std::vector<std::string_view> words_of(const Names& names) {
    std::vector<std::string_view> words;
    for (const auto& [name, place] : names) words.push_back(name);
    return words;
}

void check_group(const Declaration& declaration, const Names& groups, std::string_view group, Place where) {
    if (where && !groups.contains(group))
        declaration.findings.add(where, fmt::format("group {} is not declared", in_quotes(group)),
                                 nearest_of(group, words_of(groups), "[[group]]"));
}

void check_images(const Declaration& declaration, const Names& images, const std::vector<boot::Disk>& disks,
                  const std::vector<DiskPlaces>& places) {
    for (std::size_t i = 0; i < disks.size(); ++i) {
        const auto* const source = std::get_if<boot::ImageSource>(&disks[i].source);
        if (source == nullptr) continue;
        const auto reference = parse_image_reference(source->image);
        if (reference && !images.contains(reference->name))
            declaration.findings.add(places[i].source, fmt::format("image {} is not declared", in_quotes(reference->name)),
                                     nearest_of(reference->name, words_of(images), "[[image]]"));
    }
}

void check_tools(const Declaration& declaration, const Names& tools, const std::optional<std::vector<std::string>>& named,
                 const std::vector<Place>& places) {
    for (std::size_t i = 0; named && i < named->size(); ++i) {
        if (!tools.contains((*named)[i]))
            declaration.findings.add(places[i], fmt::format("tool {} is not declared", in_quotes((*named)[i])),
                                     nearest_of((*named)[i], words_of(tools), "[[tool]]"));
    }
}

/// A client and a target of one name would be one iSCSI target.
void check_targets(const Declaration& declaration, const Names& clients, const Names& targets) {
    for (const auto& [name, place] : targets) {
        if (const auto client = clients.find(name); client != clients.end())
            declaration.findings.add(
                place,
                fmt::format("target {} has the iSCSI name of the client at {}", in_quotes(name), declaration.findings.at(client->second)),
                "give it another name");
    }
}

}  // namespace

std::string nearest_of(std::string_view word, const std::vector<std::string_view>& declared, std::string_view table) {
    if (const auto near = nearest(word, declared)) return fmt::format("did you mean \"{}\"?", *near);
    if (declared.empty()) return fmt::format("declare it with {}", table);
    static constexpr std::size_t most_listed = 10;
    const std::span listed = std::span{declared}.first(std::min(declared.size(), most_listed));
    return fmt::format("declare it with {}, or write one of: {}{}", table, fmt::join(listed, ", "),
                       listed.size() < declared.size() ? ", …" : "");
}

void check_names(const Declaration& declaration) {
    const boot::CatalogData& declared = declaration.config.declared;
    const Places& places = declaration.places;
    const Names images = unique_names(declaration, declared.images, places.images, "image");
    const Names groups = unique_names(declaration, declared.groups, places.groups, "group");
    const Names clients = unique_names(declaration, declared.clients, places.clients, "client");
    const Names targets = unique_names(declaration, declared.targets, places.targets, "target");
    check_targets(declaration, clients, targets);
    const Names tools = unique_names(declaration, declared.tools, places.tools, "tool");
    const UnknownClients& unknown = declaration.config.unknown_clients;
    check_group(declaration, groups, unknown.group, places.services.unknown_group);
    const std::size_t own = unknown.groups.size() - places.services.unknown_groups.size();  // `group` stands before those that are written
    for (std::size_t i = 0; i < places.services.unknown_groups.size(); ++i)
        check_group(declaration, groups, unknown.groups[own + i], places.services.unknown_groups[i]);
    for (std::size_t i = 0; i < declared.groups.size(); ++i) {
        check_tools(declaration, tools, declared.groups[i].settings.tools, places.groups[i].settings.tools);
        if (const auto& disks = declared.groups[i].settings.disks)
            check_images(declaration, images, *disks, places.groups[i].settings.disks);
    }
    for (std::size_t i = 0; i < declared.clients.size(); ++i) {
        check_group(declaration, groups, declared.clients[i].group, places.clients[i].group);
        check_tools(declaration, tools, declared.clients[i].settings.tools, places.clients[i].settings.tools);
        if (const auto& disks = declared.clients[i].settings.disks)
            check_images(declaration, images, *disks, places.clients[i].settings.disks);
    }
    for (std::size_t i = 0; i < declared.targets.size(); ++i)
        check_images(declaration, images, declared.targets[i].luns, places.targets[i].luns);
}

}  // namespace diskless::config
