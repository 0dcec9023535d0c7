// What a declaration does to what was made at run time.
#include "db/merge.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace diskless;
using namespace diskless::db;
using boot::CatalogData;
using boot::ClientEntry;

namespace {

MacAddress mac(std::uint8_t last) { return {{std::byte{0x52}, std::byte{0x54}, {}, {}, {}, std::byte{last}}}; }

ClientEntry client(std::string name, std::uint8_t last, bool declared) {
    return {.name = std::move(name), .macs = {mac(last)}, .declared = declared};
}

std::string notes_of(const Merged& merged) {
    std::string text;
    for (const MergeNote& note : merged.notes) text += std::string{note.event} + " " + note.fields + "\n";
    return text;
}

}  // namespace

TEST_CASE("declared entries come and go with the file, others stay") {
    CatalogData stored;
    stored.clients = {client("declared-before", 1, true), client("enrolled", 2, false)};
    stored.groups = {{.name = "old", .declared = true}, {.name = "made", .declared = false}};
    CatalogData declared;
    declared.clients = {client("declared-now", 3, true)};
    const Merged merged = merge_declared(stored, declared);
    CHECK(merged.catalog.clients == std::vector{client("declared-now", 3, true), client("enrolled", 2, false)});
    CHECK(merged.catalog.groups == std::vector<boot::Group>{{.name = "made"}});
    CHECK(merged.notes.empty());
    CHECK(merge_declared(merged.catalog, declared).catalog == merged.catalog);  // once more changes nothing
}

TEST_CASE("a name is the declaration's; the other entry goes on under another one") {
    CatalogData stored;
    stored.clients = {client("desk-05", 5, false), client("desk-05-2", 6, false)};
    CatalogData declared;
    declared.clients = {client("desk-05", 7, true)};
    const Merged merged = merge_declared(stored, declared);
    CHECK(merged.catalog.clients == std::vector{client("desk-05", 7, true), client("desk-05-2", 6, false), client("desk-05-3", 5, false)});
    CHECK(notes_of(merged) == "catalog.renamed client=desk-05 name=desk-05-3 reason=declared\n");
}

TEST_CASE("clients and targets share their iSCSI names") {
    CatalogData stored;
    stored.clients = {client("scratch", 5, false)};
    CatalogData declared;
    declared.targets = {{.name = "scratch", .declared = true}};
    const Merged merged = merge_declared(stored, declared);
    REQUIRE(merged.catalog.clients.size() == 1);
    CHECK(merged.catalog.clients[0].name == "scratch-2");
}

TEST_CASE("an enrolled machine that is now declared is one machine") {
    CatalogData stored;
    stored.clients = {client("desk-05", 5, false)};
    CatalogData declared;
    declared.clients = {client("desk-05", 5, true)};
    const Merged merged = merge_declared(stored, declared);
    CHECK(merged.catalog.clients == declared.clients);
    CHECK(notes_of(merged) == "catalog.declared client=desk-05 was=\"made at run time\"\n");
}

TEST_CASE("MAC, UUID and address are the declaration's; the other entry loses them") {
    const auto uuid = Uuid::parse("4c4c4544-0042-3510-8053-b7c04f4e3732");
    const auto address = Ipv4Address::parse("10.0.0.5");
    CatalogData stored;
    stored.clients = {
        {.name = "enrolled", .macs = {mac(1), mac(2)}, .uuid = uuid, .address = address, .declared = false},
    };
    CatalogData declared;
    declared.clients = {{.name = "desk-01", .macs = {mac(2)}, .uuid = uuid, .address = address, .declared = true}};
    const Merged merged = merge_declared(stored, declared);
    REQUIRE(merged.catalog.clients.size() == 2);
    CHECK(merged.catalog.clients[1] == ClientEntry{.name = "enrolled", .macs = {mac(1)}});
    CHECK(notes_of(merged) ==
          "catalog.lost client=enrolled mac=52:54:00:00:00:02 reason=declared\n"
          "catalog.lost client=enrolled uuid=4c4c4544-0042-3510-8053-b7c04f4e3732 reason=declared\n"
          "catalog.lost client=enrolled address=10.0.0.5 reason=declared\n");
}

TEST_CASE("what refers to a renamed group or image follows it, declarations do not") {
    const auto disks_of = [](std::string image) {
        return std::vector<boot::Disk>{{.lun = 0, .source = boot::ImageSource{std::move(image)}}};
    };
    CatalogData stored;
    stored.images = {{"debian", "images/made.img", false}};
    stored.groups = {{.name = "desks", .settings = {.disks = disks_of("debian@3")}, .declared = false}};
    stored.clients = {client("enrolled", 5, false)};
    stored.clients[0].group = "desks";
    CatalogData declared;
    declared.images = {{"debian", "images/declared.img", true}};
    declared.groups = {{.name = "desks", .settings = {.disks = disks_of("debian")}, .declared = true}};
    const Merged merged = merge_declared(stored, declared);
    REQUIRE(merged.catalog.groups.size() == 2);
    CHECK(merged.catalog.groups[0] == declared.groups[0]);
    CHECK(merged.catalog.groups[1].name == "desks-2");
    CHECK(merged.catalog.groups[1].settings.disks == disks_of("debian-2@3"));
    CHECK(merged.catalog.clients[0].group == "desks-2");
    CHECK(merged.catalog.images[1].file == "images/made.img");
}

TEST_CASE("a free name is short enough to be one") {
    CHECK(free_name("desk", {}) == "desk");
    CHECK(free_name("desk", {"desk", "desk-2"}) == "desk-3");
    const std::string longest(63, 'a');
    CHECK(free_name(longest, {longest}) == std::string(61, 'a') + "-2");
}
