// Configurations that are right: what their values become.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>

#include "config/config.hpp"
#include "sandbox.hpp"

using namespace diskless;
using namespace diskless::config;
using boot::BootMethod;
using boot::DiskMode;

namespace {

// The example of the interface contract, all of it; paths below a folder of the test.
constexpr std::string_view contract_sample = R"toml(
[server]
interface  = "eth1"                     # boot network; or address = "192.168.77.1"
data_dir   = "@/data"
io_threads = 0                          # 0: chosen by the program

[dhcp]
mode = "server"                         # "server" | "proxy" | "off"
router_advertisement = true
conflict_probe = true
[[dhcp.subnet]]
network    = "192.168.77.0/24"
pool       = ["192.168.77.100-192.168.77.199"]
router     = "192.168.77.1"
dns        = ["192.168.77.1"]
lease_time = "12h"

[tftp]                                  # port = 69 (0: off), root = "<data_dir>/boot", max_transfers
[http]                                  # port = 8080 (0: off), root, tls_cert, tls_key
[iscsi]                                 # port 0: off
port          = 3260
target_prefix = "iqn.2026-11.lan.lab"
max_sessions  = 1024
session_timeout = "30m"

[unknown_clients]
policy = "ignore"
group  = "desks"

[[image]]
name = "debian-12"
file = "images/debian-12.qcow2"

[[group]]
name = "desks"
boot = "sanboot"
disks = [ { lun = 0, image = "debian-12", mode = "ephemeral" } ]

[[client]]
name    = "desk-01"
mac     = "52:54:00:12:34:01"
address = "192.168.77.11"
group   = "desks"
disks   = [ { lun = 0, image = "debian-12", mode = "persistent" },
            { lun = 1, size = "20GiB" },
            { lun = 2, file = "@/srv/old.img" } ]

[[client]]
name    = "node-02"
mac     = "52:54:00:12:34:02"
boot    = "kernel"
kernel  = "vmlinuz"
initrd  = "initrd.img"
cmdline = "root=LABEL=root ro ip=dhcp {iscsi}"
disks   = [ { lun = 0, file = "@/srv/node-02.img" } ]

[[target]]
name = "scratch"
luns = [ { lun = 0, file = "disks/scratch.img", size = "100GiB", read_only = false, description = "scratch space" } ]
initiators = ["iqn.1993-08.org.debian:*"]
)toml";

std::string whole_file(const std::filesystem::path& path) {
    std::ifstream stream{path};
    return {std::istreambuf_iterator<char>{stream}, {}};
}

}  // namespace

TEST_CASE("an image without a file is one whose versions are imported") {
    const Config config = parse(
        "[[image]]\nname = \"debian-12\"\n[[client]]\nname = \"a\"\nmac = \"52:54:00:12:34:01\"\n"
        "disks = [ { lun = 0, image = \"debian-12@2\" } ]\n",
        "/etc/diskless/diskless.toml");
    REQUIRE(config.declared.images.size() == 1);
    CHECK(config.declared.images[0] == boot::Image{"debian-12", "", true});
}

TEST_CASE("the contract's sample loads, every value where it belongs") {
    const Sandbox sandbox;
    sandbox.file("data/images/debian-12.qcow2");
    sandbox.file("srv/old.img");
    sandbox.file("srv/node-02.img");
    const Config config = parse(replaced(std::string{contract_sample}, "@", sandbox.path().native()), "/etc/diskless/diskless.toml");

    CHECK(config.server.interface == "eth1");
    CHECK(config.server.data_dir == sandbox.path() / "data");
    CHECK(config.dhcp.mode == DhcpMode::server);
    REQUIRE(config.dhcp.subnets.size() == 1);
    const Subnet& subnet = config.dhcp.subnets[0];
    CHECK(subnet.network.text() == "192.168.77.0/24");
    REQUIRE(subnet.pool.size() == 1);
    CHECK(subnet.pool[0].text() == "192.168.77.100-192.168.77.199");
    CHECK(subnet.router == Ipv4Address::parse("192.168.77.1"));
    CHECK(subnet.dns.size() == 1);
    CHECK(subnet.lease_time == 12h);
    CHECK(config.tftp.root == sandbox.path() / "data/boot");
    CHECK(config.http.root == sandbox.path() / "data/boot");
    CHECK(config.iscsi.target_prefix == "iqn.2026-11.lan.lab");
    CHECK(config.iscsi.session_timeout == 30min);
    CHECK(config.unknown_clients.policy == UnknownPolicy::ignore);
    CHECK(config.unknown_clients.group == "desks");

    const boot::CatalogData& declared = config.declared;
    REQUIRE(declared.images.size() == 1);
    CHECK(declared.images[0] == boot::Image{"debian-12", "images/debian-12.qcow2", true});
    REQUIRE(declared.groups.size() == 1);
    CHECK(declared.groups[0].settings.boot == BootMethod::sanboot);
    REQUIRE(declared.groups[0].settings.disks);
    CHECK(declared.groups[0].settings.disks->at(0).mode == DiskMode::ephemeral);
    REQUIRE(declared.clients.size() == 2);
    const boot::ClientEntry& desk = declared.clients[0];
    CHECK(desk.declared);
    CHECK(desk.macs == std::vector{*MacAddress::parse("52:54:00:12:34:01")});
    CHECK(desk.address == Ipv4Address::parse("192.168.77.11"));
    CHECK_FALSE(desk.settings.boot);
    REQUIRE(desk.settings.disks);
    CHECK(*desk.settings.disks ==
          std::vector<boot::Disk>{{0, boot::ImageSource{"debian-12"}, DiskMode::persistent, ""},
                                  {1, boot::BlankSource{std::uint64_t{20} << 30}, DiskMode::persistent, ""},
                                  {2, boot::FileSource{sandbox.path() / "srv/old.img", 0}, DiskMode::persistent, ""}});
    CHECK(declared.clients[1].settings.boot == BootMethod::kernel);
    CHECK(declared.clients[1].settings.cmdline == "root=LABEL=root ro ip=dhcp {iscsi}");
    REQUIRE(declared.targets.size() == 1);
    CHECK(declared.targets[0].luns ==
          std::vector<boot::Disk>{{0, boot::FileSource{"disks/scratch.img", std::uint64_t{100} << 30}, DiskMode::shared, "scratch space"}});
    CHECK(declared.targets[0].initiators == std::vector<std::string>{"iqn.1993-08.org.debian:*"});
}

TEST_CASE("an empty file is a configuration, and so is every default written out") {
    const Config config = parse("", "diskless.toml");
    CHECK(config.server.data_dir == "/var/lib/diskless");
    CHECK(config.tftp.root == "/var/lib/diskless/boot");
    CHECK(config.dhcp.mode == DhcpMode::server);
    CHECK(config.declared == boot::CatalogData{});
}

TEST_CASE("what a load measurement writes for one service at a time") {
    const Sandbox sandbox;
    sandbox.file("disk.img");
    sandbox.file("files/a");
    std::filesystem::create_directories(sandbox.path() / "data/boot");
    const auto accepts = [&](std::string_view text) {
        const std::string configuration = replaced(std::string{text}, "@", sandbox.path().native());
        CAPTURE(configuration);
        CHECK(findings_in(configuration) == "");
    };
    accepts(
        "[server]\naddress = \"127.0.0.1\"\ndata_dir = \"@/data\"\nio_threads = 2\n[dhcp]\nmode = \"off\"\n[tftp]\nport = 0\n[http]\nport "
        "= 0\n"
        "[iscsi]\nport = 3261\ntarget_prefix = \"iqn.2026-11.bench\"\nmax_sessions = 2000\n[[target]]\nname = \"disk\"\n"
        "luns = [ { lun = 0, file = \"@/disk.img\" } ]\ninitiators = [\"*\"]\n");
    accepts(
        "[server]\naddress = \"127.0.0.1\"\ndata_dir = \"@/data\"\n[dhcp]\nmode = \"off\"\n[tftp]\nport = 6969\nroot = \"@/files\"\n"
        "max_transfers = 1000\n[http]\nport = 0\n[iscsi]\nport = 0\n");
    accepts(
        "[server]\naddress = \"127.0.0.1\"\ndata_dir = \"@/data\"\n[dhcp]\nmode = \"off\"\n[tftp]\nport = 0\n[http]\nport = 8081\n"
        "root = \"@/files\"\n[iscsi]\nport = 0\n");
    accepts(
        "[server]\naddress = \"10.9.0.1\"\ninterface = \"veth0\"\ndata_dir = \"@/data\"\n[tftp]\nport = 0\n[http]\nport = 0\n[iscsi]\nport "
        "= 0\n"
        "[dhcp]\nmode = \"server\"\nrouter_advertisement = false\nconflict_probe = false\n[[dhcp.subnet]]\nnetwork = \"10.9.0.0/16\"\n"
        "pool = [\"10.9.1.0-10.9.255.254\"]\nrouter = \"10.9.0.1\"\nlease_time = \"1h\"\n[unknown_clients]\npolicy = \"menu\"\n");
}

TEST_CASE("one may stand for a list of one; paths are relative to the file that names them") {
    const Sandbox sandbox;
    sandbox.file("etc/cert.pem");
    sandbox.file("etc/key.pem");
    sandbox.file("etc/boot/ipxe.efi");
    const Config config = parse(
        "[server]\ndata_dir = \"data\"\n[tftp]\nroot = \"boot\"\n[http]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n"
        "[[dhcp.subnet]]\nnetwork = \"10.0.0.0/24\"\npool = \"10.0.0.10\"\n"
        "[[client]]\nname = \"two-ports\"\nmac = [\"52-54-00-12-34-01\", \"525400123402\"]\nboot = \"local\"\n",
        sandbox.path() / "etc/diskless.toml");
    CHECK(config.server.data_dir == sandbox.path() / "etc/data");
    CHECK(config.tftp.root == sandbox.path() / "etc/boot");
    CHECK(config.http.root == sandbox.path() / "etc/boot");
    CHECK(config.http.tls_key == sandbox.path() / "etc/key.pem");
    CHECK(config.dhcp.subnets.at(0).pool.at(0).size() == 1);
    CHECK(config.declared.clients.at(0).macs.size() == 2);
}

TEST_CASE("the shipped sample loads as it is, and with every example switched on") {
    const auto shipped = std::filesystem::path{DISKLESS_SOURCE_DIR} / "etc/diskless.toml";
    CHECK(findings_in(whole_file(shipped)) == "");
    CHECK(load(shipped).file == shipped);

    const Sandbox sandbox;
    sandbox.file("data/images/debian-12.qcow2");
    sandbox.file("data/boot/kiosk.ipxe");
    for (const char* name : {"srv/old.img", "srv/node-02.img", "cert.pem", "key.pem", "clients.pem"}) sandbox.file(name);
    sandbox.text("chap.secrets",
                 "node-02 twelve-characters\nanna twelve-characters-of-hers\nzoe another-dozen-of-them\nadmin and-one-more-dozen\n");
    std::string text = std::regex_replace(whole_file(shipped), std::regex{"(^|\n)#(?=[^ \n])"}, "$1");
    text = replaced(std::move(text), "\n# ", "\n#");  // prose stays a comment
    text = replaced(std::move(text), "\n#           {", "\n            {");
    text = replaced(std::move(text), "/var/lib/diskless", (sandbox.path() / "data").native());
    text = replaced(std::move(text), "/srv/disks", (sandbox.path() / "srv").native());
    text = replaced(std::move(text), "/etc/diskless/tls", sandbox.path().native());
    text = replaced(std::move(text), "/etc/diskless/chap.secrets", (sandbox.path() / "chap.secrets").native());
    REQUIRE(findings_in(text) == "");
    const Config config = parse(text, "diskless.toml");
    CHECK(config.declared.clients.size() == 3);
    CHECK(config.declared.targets.size() == 2);
    CHECK(config.declared.targets[0].addresses.at(0).text() == "192.168.77.0-192.168.77.255");
    CHECK(config.declared.targets[0].chap == std::vector<std::string>{"anna", "zoe"});
    CHECK(config.declared.targets[1].redirect == "192.168.77.2:3260");
    CHECK(config.secrets.accounts().size() == 4);
    CHECK(config.http.tls_key == sandbox.path() / "key.pem");

    SUBCASE("and what it calls a default is one") {
        const Config defaults;
        CHECK(config.server.io == defaults.server.io);
        CHECK(config.server.storage_threads == defaults.server.storage_threads);
        CHECK(config.server.log_level == defaults.server.log_level);
        CHECK(config.dhcp.max_leases == defaults.dhcp.max_leases);
        CHECK(config.dhcp.authoritative == defaults.dhcp.authoritative);
        CHECK(config.tftp.max_transfers == defaults.tftp.max_transfers);
        CHECK(config.tftp.max_blksize == defaults.tftp.max_blksize);
        CHECK(config.tftp.max_windowsize == defaults.tftp.max_windowsize);
        CHECK(config.tftp.retransmit == defaults.tftp.retransmit);
        CHECK(config.tftp.max_retransmits == defaults.tftp.max_retransmits);
        CHECK(config.http.port == defaults.http.port);
        CHECK(config.http.max_connections == defaults.http.max_connections);
        CHECK(config.http.idle_timeout == defaults.http.idle_timeout);
        CHECK(config.http.write_timeout == defaults.http.write_timeout);
        CHECK(config.iscsi.port == defaults.iscsi.port);
        CHECK(config.iscsi.target_prefix == defaults.iscsi.target_prefix);
        CHECK(config.iscsi.max_sessions == defaults.iscsi.max_sessions);
        CHECK(config.iscsi.max_connections == defaults.iscsi.max_connections);
        CHECK(config.iscsi.session_timeout == defaults.iscsi.session_timeout);
        CHECK(config.iscsi.login_timeout == defaults.iscsi.login_timeout);
        CHECK(config.iscsi.queue_depth == defaults.iscsi.queue_depth);
        CHECK(config.iscsi.buffer_bytes == defaults.iscsi.buffer_bytes);
    }
}

TEST_CASE("the shipped sample names every key there is") {
    const std::string sample = whole_file(std::filesystem::path{DISKLESS_SOURCE_DIR} / "etc/diskless.toml");
    const std::regex known{R"(known: ([^)]*)\))"};
    for (const std::string header : {"[server]", "[dhcp]", "[[dhcp.subnet]]", "[tftp]", "[http]", "[iscsi]", "[unknown_clients]",
                                     "[[image]]", "[[group]]", "[[client]]", "[[target]]"}) {
        CAPTURE(header);
        REQUIRE((sample.contains("\n" + header) || sample.contains("\n#" + header)));
        const std::string message = findings_in(header + "\nqqqqqqqqqqqqqqqqqqqq = 1\n");
        std::smatch match;
        REQUIRE(std::regex_search(message, match, known));
        const std::string keys = match[1];
        for (std::size_t at = 0; at < keys.size();) {
            const std::string key = keys.substr(at, keys.find(", ", at) - at);
            at += key.size() + 2;
            CAPTURE(key);
            CHECK(std::regex_search(sample, std::regex{"(^|[\n#{, .])" + key + R"(( *=|[\]:]))"}));
        }
    }
}
