// [[image]], [[group]], [[client]], [[target]] and [[tool]].
#include <fmt/format.h>

#include "config/names.hpp"
#include "config/tables.hpp"

namespace diskless::config {
namespace {

constexpr std::string_view initiator_form =
    "an initiator's name in lower case, '*' for what is left open, such as \"iqn.1993-08.org.debian:*\" or \"*\"";

/// The name, empty when it is missing or wrong; where it is written, or the entry where it is not.
Place read_name(TableReader& table, std::string& name) {
    table.require("name", "name = \"…\"");
    std::string written;
    const Place where = table.text("name", written);
    if (where && !is_name(written)) {
        table.findings().add(where, fmt::format("name {} cannot be part of host names and iSCSI names", in_quotes(written)),
                             fmt::format("write {}", name_form));
    } else if (where) {
        name = std::move(written);
    }
    return where ? where : table.place();
}

std::optional<MacAddress> parse_station(std::string_view text) noexcept {
    const auto mac = MacAddress::parse(text);
    return mac && !mac->is_multicast() && *mac != MacAddress{} ? mac : std::nullopt;
}

std::optional<Uuid> parse_uuid(std::string_view text) noexcept {
    const auto uuid = Uuid::parse(text);
    return uuid && !uuid->is_blank() ? uuid : std::nullopt;
}

void read_image(TableReader table, boot::CatalogData& declared, Places& places) {
    boot::Image image{.declared = true};
    ImagePlaces where;
    where.name = read_name(table, image.name);
    where.file = table.path("file", image.file);  // without: its versions are imported
    table.finish();
    declared.images.push_back(std::move(image));
    places.images.push_back(where);
}

void read_group(TableReader table, boot::CatalogData& declared, Places& places) {
    boot::Group group{.declared = true};
    GroupPlaces where;
    where.name = read_name(table, group.name);
    read_settings(table, group.settings, where.settings);
    table.finish();
    declared.groups.push_back(std::move(group));
    places.groups.push_back(std::move(where));
}

void read_client(TableReader table, boot::CatalogData& declared, Places& places) {
    boot::ClientEntry client{.declared = true};
    ClientPlaces where;
    where.name = read_name(table, client.name);
    where.macs = table.list("mac", client.macs, parse_station, "a station's MAC address such as \"52:54:00:12:34:01\"");
    where.uuid = table.parsed("uuid", client.uuid, parse_uuid, "the machine's UUID such as \"4c4c4544-0042-3510-8053-b7c04f4e3732\"");
    if (!table.has("mac") && !table.has("uuid"))
        table.findings().add(table.place(), "[[client]] has neither mac nor uuid",
                             "add mac = \"52:54:00:12:34:01\", so that it can be recognised");
    where.address = table.parsed("address", client.address, &Ipv4Address::parse, "an IPv4 address such as \"192.168.77.11\"");
    where.group = table.text("group", client.group);
    table.list("initiators", client.initiators, parse_initiator_pattern, initiator_form);
    table.list("addresses", client.addresses, parse_addresses, addresses_form);
    where.chap = table.list("chap", client.chap, parse_chap_user, chap_user_form);
    read_settings(table, client.settings, where.settings);
    table.finish();
    declared.clients.push_back(std::move(client));
    places.clients.push_back(std::move(where));
}

void read_target(TableReader table, boot::CatalogData& declared, Places& places) {
    boot::Target target{.declared = true};
    TargetPlaces where;
    where.name = read_name(table, target.name);
    std::optional<std::string> redirect;
    const Place moved = table.parsed("redirect", redirect, parse_redirect, redirect_form);
    if (moved && table.has("luns"))
        table.findings().add(moved, "redirect stands beside luns: a target is here or somewhere else", "remove one of them");
    target.redirect = redirect.value_or("");
    if (!table.has("redirect")) table.require("luns", "luns = [ { lun = 0, file = \"…\" } ]");
    target.luns = read_luns(table, where.luns);
    table.list("initiators", target.initiators, parse_initiator_pattern, initiator_form);
    table.list("addresses", target.addresses, parse_addresses, addresses_form);
    where.chap = table.list("chap", target.chap, parse_chap_user, chap_user_form);
    table.finish();
    declared.targets.push_back(std::move(target));
    places.targets.push_back(std::move(where));
}

void read_tool(TableReader table, boot::CatalogData& declared, Places& places) {
    boot::Tool tool{.declared = true};
    ToolPlaces where;
    where.name = read_name(table, tool.name);
    table.text("title", tool.title);
    if (tool.title.empty()) tool.title = tool.name;
    const auto path = [&](std::string_view key, std::string& out) {
        std::optional<std::string> value;
        table.parsed(key, value, parse_boot_path, boot_path_form);
        out = value.value_or("");
    };
    path("kernel", tool.kernel);
    path("initrd", tool.initrd);
    table.text("cmdline", tool.cmdline);
    path("iso", tool.iso);
    path("script", tool.script);
    const int ways = int{table.has("kernel")} + int{table.has("iso")} + int{table.has("script")};
    if (ways != 1)
        table.findings().add(where.name,
                             fmt::format("tool {} has {} of kernel, iso and script", in_quotes(tool.name), ways == 0 ? "none" : "several"),
                             "name one of them");
    if (boot::boot_method(tool.name) || tool.name == "disk")
        table.findings().add(where.name, fmt::format("a tool cannot be called {}: that is a way to boot", in_quotes(tool.name)),
                             "choose another name");
    table.finish();
    declared.tools.push_back(std::move(tool));
    places.tools.push_back(where);
}

}  // namespace

void read_declared(TableReader& root, boot::CatalogData& declared, Places& places) {
    for (TableReader& table : root.tables("image", "[[image]]")) read_image(std::move(table), declared, places);
    for (TableReader& table : root.tables("group", "[[group]]")) read_group(std::move(table), declared, places);
    for (TableReader& table : root.tables("client", "[[client]]")) read_client(std::move(table), declared, places);
    for (TableReader& table : root.tables("target", "[[target]]")) read_target(std::move(table), declared, places);
    for (TableReader& table : root.tables("tool", "[[tool]]")) read_tool(std::move(table), declared, places);
}

}  // namespace diskless::config
