// The catalog on disk: everything comes back as it was declared, through every change of the file.
#include "db/catalog.hpp"

#include <doctest/doctest.h>

#include "db/catalog_rows.hpp"
#include "scratch.hpp"

using namespace diskless;
using namespace diskless::db;
using boot::CatalogData;
using boot::ClientEntry;
using boot::Disk;

namespace {

MacAddress mac(std::uint8_t last) { return {{std::byte{0x52}, std::byte{0x54}, {}, {}, {}, std::byte{last}}}; }

/// One of everything, each list in the order of names.
CatalogData everything() {
    CatalogData data;
    data.images = {{"debian-12", "images/debian-12.qcow2", true}, {"windows", "/srv/windows.img", true}};
    data.groups = {{.name = "desks",
                    .settings = {.boot = boot::BootMethod::sanboot,
                                 .menu_default = "memtest",
                                 .menu_password = "o'p\"en",
                                 .menu_timeout = std::chrono::seconds{5},
                                 .tools = std::vector<std::string>{"memtest", "rescue"},
                                 .local_exit = boot::LocalExit::poweroff,
                                 .disks = std::vector<Disk>{},
                                 .dhcp_options = {{42, std::string{"\x0a\0\0\x01", 4}}, {224, "a,b"}}},
                    .declared = true},
                   {.name = "plain", .declared = true}};
    data.clients = {
        {.name = "desk-01",
         .macs = {mac(9), mac(1)},  // in the order of the file, not of the MACs
         .uuid = Uuid::parse("4c4c4544-0042-3510-8053-b7c04f4e3732"),
         .address = Ipv4Address::parse("192.168.77.11"),
         .group = "desks",
         .initiators = {"iqn.1993-08.org.debian:*", "iqn.1991-05.com.microsoft:a"},
         .addresses = {*Ipv4Range::parse("10.0.0.5-10.0.0.9")},
         .chap = {"desk-01"},
         .settings = {.disks = std::vector<Disk>{{2, boot::FileSource{"/srv/old.img", 0}, boot::DiskMode::read_only, "the old disk"},
                                                 {0, boot::ImageSource{"debian-12@3"}, boot::DiskMode::ephemeral, ""},
                                                 {1, boot::BlankSource{std::uint64_t{20} << 30}, boot::DiskMode::persistent, ""}}},
         .declared = true},
        {.name = "node-02",
         .macs = {mac(2)},
         .settings =
             {.boot = boot::BootMethod::kernel, .kernel = "vmlinuz", .initrd = "", .cmdline = "a 'b' \"c\"", .script = "s", .loader = "l"},
         .declared = true},
    };
    data.targets = {{"scratch",
                     {{0, boot::FileSource{"disks/scratch.img", std::uint64_t{100} << 30}, boot::DiskMode::shared, "scratch space"}},
                     {"*"},
                     {*Ipv4Range::parse("192.168.77.0-192.168.77.255"), *Ipv4Range::parse("10.0.0.5")},
                     {"zoe", "anna"},
                     "san2.lan:3260",
                     true}};
    data.tools = {{"memtest", "Memory test", "memtest.bin", "", "a b", "", "", true},
                  {"rescue", "Rescue", "", "", "", "rescue.iso", "", true}};
    return data;
}

CatalogData stored(Database& database) { return database.run(read_catalog); }

}  // namespace

TEST_CASE("everything comes back as it was declared") {
    const DataDir data;
    CounterRegistry counters;
    {
        Database database{data.path(), counters};
        CHECK(CatalogStore{database}.synchronise_at_start(everything()) == everything());
    }
    Database database{data.path(), counters};
    CHECK(stored(database) == everything());
}

TEST_CASE("the store follows every change of the file") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    CatalogStore store{database};
    const auto becomes = [&](const CatalogData& declared) {
        CHECK(await(store.synchronise(declared)) == declared);
        CHECK(stored(database) == declared);
    };
    CatalogData catalog = everything();
    becomes(catalog);
    becomes(catalog);  // the same again
    SUBCASE("a MAC moves from one client to the other, and back") {
        std::swap(catalog.clients[0].macs, catalog.clients[1].macs);
        becomes(catalog);
        becomes(everything());
    }
    SUBCASE("an address and a UUID move") {
        std::swap(catalog.clients[0].address, catalog.clients[1].address);
        std::swap(catalog.clients[0].uuid, catalog.clients[1].uuid);
        becomes(catalog);
    }
    SUBCASE("a client is renamed") {
        catalog.clients[0].name = "a-new-name";
        becomes(catalog);
    }
    SUBCASE("disks and settings change") {
        catalog.clients[0].settings.disks->pop_back();
        catalog.clients[1].settings = {};
        catalog.groups[1].settings.disks = catalog.clients[0].settings.disks;
        catalog.targets[0].luns.clear();
        catalog.targets[0].initiators.clear();
        becomes(catalog);
    }
    SUBCASE("everything goes") {
        becomes({});
        const auto rows = database.run([](Connection& connection) {
            return connection.integer(
                "SELECT (SELECT count(*) FROM disks) + (SELECT count(*) FROM client_macs) + (SELECT count(*) FROM initiators)");
        });
        CHECK(rows == 0);
    }
}

TEST_CASE("a catalog that did not change is not written again") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    CatalogStore store{database};
    (void)store.synchronise_at_start(everything());
    const auto commits = [](Connection& connection) { return connection.commits(); };
    const std::uint64_t before = database.run(commits);
    (void)store.synchronise_at_start(everything());
    CHECK(database.run(commits) == before);
}

TEST_CASE("enrolled clients stay, under a free name, once") {
    const DataDir data;
    CounterRegistry counters;
    const ClientEntry stranger{.name = "desk-01", .macs = {mac(50)}, .group = "desks"};
    ClientEntry expected = stranger;
    expected.name = "desk-01-2";
    {
        Database database{data.path(), counters};
        CatalogStore store{database};
        (void)store.synchronise_at_start(everything());
        const auto enrolled = await(store.enroll(stranger));
        CHECK(enrolled.client == expected);
        CHECK(store.load().clients.size() == 3);
        const auto again = await(store.enroll(stranger));
        CHECK(again.client == expected);
        CHECK(store.load().clients.size() == 3);
    }
    Database database{data.path(), counters};
    CatalogStore store{database};
    CHECK(store.synchronise_at_start({}).clients == std::vector{expected});
}

TEST_CASE("enrolled clients are counted where the template says so") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    CatalogStore store{database};
    (void)store.synchronise_at_start(everything());
    const auto enroll = [&](std::string name, std::uint8_t last) {
        return await(store.enroll({.name = std::move(name), .macs = {mac(last)}, .group = "desks"})).client.name;
    };
    CHECK(enroll("lab-{nn}", 60) == "lab-01");
    CHECK(enroll("lab-{nn}", 61) == "lab-02");
    CHECK(enroll("{n}.lab", 62) == "1.lab");
    CHECK(enroll("desk-{nn}", 63) == "desk-02");  // desk-01 is declared
}

TEST_CASE("a choice for one boot is used up once, and outlives a reload") {
    const DataDir data;
    CounterRegistry counters;
    {
        Database database{data.path(), counters};
        CatalogStore store{database};
        (void)store.synchronise_at_start(everything());
        store.set_next_boot("desk-01", "memtest");
        store.set_next_boot("node-02", "local");
        store.set_next_boot("node-02", "");
    }
    Database database{data.path(), counters};
    CatalogStore store{database};
    (void)store.synchronise_at_start(everything());
    CHECK(store.load().next_boots == std::map<std::string, std::string>{{"desk-01", "memtest"}});
    CHECK_FALSE(await(store.take_next_boot("desk-01", "local")));
    CHECK(await(store.take_next_boot("desk-01", "memtest")));
    CHECK_FALSE(await(store.take_next_boot("desk-01", "memtest")));
    CHECK(store.load().next_boots.empty());
}

TEST_CASE("a value that is none is told, not guessed") {
    const DataDir data;
    CounterRegistry counters;
    Database database{data.path(), counters};
    database.run([](Connection& connection) {
        connection.execute("INSERT INTO clients (name, address, group_name, has_disks, declared) VALUES ('a', 'nowhere', '', 0, 0)");
    });
    CHECK(refusal([&] { (void)CatalogStore{database}.synchronise_at_start({}); }) == "the database holds a wrong address: 'nowhere'");
}
