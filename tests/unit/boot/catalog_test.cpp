#include "boot/catalog.hpp"

#include <doctest/doctest.h>

#include "boot/address_book.hpp"

using namespace diskless;
using namespace diskless::boot;

namespace {

const MacAddress mac1 = *MacAddress::parse("52:54:00:12:34:01");
const MacAddress mac2 = *MacAddress::parse("52:54:00:12:34:02");
const Ipv4Address address1 = *Ipv4Address::parse("10.0.0.1");
const Ipv4Address address2 = *Ipv4Address::parse("10.0.0.2");

CatalogData data() {
    CatalogData data;
    data.groups = {
        {.name = "desks", .settings = {.boot = BootMethod::kernel, .cmdline = "from group", .disks = std::vector<Disk>{{.lun = 3}}}}};
    data.clients = {
        {.name = "a", .macs = {mac1}, .uuid = Uuid::parse("00112233-4455-6677-8899-aabbccddeeff"), .address = address1, .group = "desks"},
        {.name = "b", .macs = {mac2}, .group = "desks", .settings = {.boot = BootMethod::sanboot, .disks = std::vector<Disk>{}}}};
    return data;
}

}  // namespace

TEST_CASE("a client's own settings win over its group's, which win over the defaults") {
    const Catalog catalog{data()};
    const Client* a = catalog.by_name("a");
    REQUIRE(a);
    CHECK(a->boot == BootMethod::kernel);
    CHECK(a->kernel.cmdline == "from group");
    CHECK(a->kernel.kernel == "vmlinuz");
    CHECK(a->disks.size() == 1);
    const Client* b = catalog.by_mac(mac2);
    REQUIRE(b);
    CHECK(b->boot == BootMethod::sanboot);
    CHECK(b->disks.empty());
}

TEST_CASE("clients are found by MAC, UUID, address and name, and blank UUIDs find nobody") {
    const Catalog catalog{data()};
    const Client* a = catalog.by_name("a");
    CHECK(catalog.by_mac(mac1) == a);
    CHECK(catalog.by_address(address1) == a);
    CHECK(catalog.by_uuid(*Uuid::parse("00112233-4455-6677-8899-aabbccddeeff")) == a);
    CHECK(catalog.by_uuid(Uuid{}) == nullptr);
    CHECK(catalog.by_name("c") == nullptr);
}

TEST_CASE("who sits at an address: the reservation first, then the lease") {
    const Catalog catalog{data()};
    AddressBook book;
    book.bind(address2, mac2);
    CHECK(client_at(catalog, book, address1)->name == "a");
    CHECK(client_at(catalog, book, address2)->name == "b");
    // One address a machine, one machine an address.
    const Ipv4Address address3{address2.value + 1};
    book.bind(address3, mac2);
    CHECK(client_at(catalog, book, address2) == nullptr);
    CHECK(book.address_of(mac2) == address3);
    book.bind(address3, mac1);
    CHECK_FALSE(book.address_of(mac2));
    book.release(address3);
    CHECK_FALSE(book.mac_of(address3));
    CHECK_FALSE(book.address_of(mac1));
}
