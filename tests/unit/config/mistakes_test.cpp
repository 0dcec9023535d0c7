// Configurations that are wrong: every mistake, and exactly what is said about it. "$" stands for a folder of the test, which holds a disk
// of 1 MiB (disk.img), an empty file (empty.img) and key.pem.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>

#include "config/config.hpp"
#include "sandbox.hpp"

using namespace diskless::config;

namespace {

struct Mistake {
    const char* title;
    const char* text;
    const char* findings;
};

// clang-format off
constexpr Mistake mistakes[] = {
    {"a misspelt key",
     R"([server]
intreface = "eth1"
)",
     R"(diskless.toml:2:1: unknown key 'intreface' in [server]; did you mean 'interface'?)"},
    {"a key like no other",
     R"([unknown_clients]
zzzzzzzz = 1
)",
     R"(diskless.toml:2:1: unknown key 'zzzzzzzz' in [unknown_clients]; remove it (known: policy, group, groups, name, password))"},
    {"a tool without anything to start, one of two minds, and one with a method's name",
     R"([[tool]]
name = "a"
[[tool]]
name = "b"
iso = "b.iso"
kernel = "b"
[[tool]]
name = "kernel"
script = "x.ipxe"
)",
     R"(diskless.toml:2:8: tool 'a' has none of kernel, iso and script; name one of them
diskless.toml:4:8: tool 'b' has several of kernel, iso and script; name one of them
diskless.toml:8:8: a tool cannot be called 'kernel': that is a way to boot; choose another name)"},
    {"a tool and a group nobody declared, and names that would all be one",
     R"([unknown_clients]
groups = ["desks"]
name = "pc-{group}"
[[group]]
name = "desk"
tools = ["memtes"]
[[tool]]
name = "memtest"
kernel = "memtest.bin"
)",
     R"(diskless.toml:2:11: group 'desks' is not declared; did you mean "desk"?
diskless.toml:3:8: name 'pc-{group}' is not understood; write a name with {mac}, {group}, {n}, {nn} or {nnn} in it such as "{group}-{nn}"
diskless.toml:6:10: tool 'memtes' is not declared; did you mean "memtest"?)"},
    {"a misspelt table",
     R"([servr]
io = "auto"
)",
     R"(diskless.toml:1:2: unknown table [servr]; did you mean [server]?)"},
    {"a table like no other",
     R"([zzzzzzzzzz]
)",
     R"(diskless.toml:1:2: unknown table [zzzzzzzzzz]; remove it (known: server, dhcp, tftp, http, iscsi, unknown_clients, image, group, client, target, tool))"},
    {"a key outside every table",
     R"(port = 3260
)",
     R"(diskless.toml:1:1: key 'port' stands outside every table; move it below a line such as [server])"},
    {"one table where many are meant",
     R"([client]
name = "a"
)",
     R"(diskless.toml:1:2: client is a table; write [[client]] above each of them)"},
    {"many tables where one is meant",
     R"([[server]]
io = "auto"
)",
     R"(diskless.toml:1:3: server is a list of tables; write one table [server])"},
    {"a value where a table is meant",
     R"(server = 1
)",
     R"(diskless.toml:1:1: server is a whole number; write one table [server])"},
    {"not TOML",
     R"([server
)",
     R"(diskless.toml:1:8: this is not TOML: Error while parsing table header: expected ']', saw '\n'; correct the line, or what stands before it)"},
    {"not TOML: no value",
     R"([server]
port = 
)",
     R"(diskless.toml:2:8: this is not TOML: Error while parsing key-value pair: expected value, saw '\n'; correct the line, or what stands before it)"},
    {"not TOML: a table twice",
     R"([tftp]
[tftp]
)",
     R"(diskless.toml:2:1: this is not TOML: Error while parsing table header: cannot redefine existing table 'tftp'; correct the line, or what stands before it)"},
    {"not TOML: the parser's own text spans lines",
     R"([dhcp]
conflict_probe = tru
)",
     R"(diskless.toml:2:21: this is not TOML: Error while parsing boolean: expected 'true', saw 'tru\n'; correct the line, or what stands before it)"},
    {"a number in quotes",
     R"([tftp]
port = "69"
)",
     R"(diskless.toml:2:8: port is a string; write a whole number between 0 and 65535)"},
    {"a port that is none",
     R"([tftp]
port = 70000
)",
     R"(diskless.toml:2:8: port is 70000; write a whole number between 0 and 65535)"},
    {"a negative number",
     R"([http]
max_connections = -1
)",
     R"(diskless.toml:2:19: max_connections is -1; write a whole number between 1 and 1000000)"},
    {"zero where one is least",
     R"([iscsi]
queue_depth = 0
)",
     R"(diskless.toml:2:15: queue_depth is 0; write a whole number between 1 and 65536)"},
    {"true in quotes",
     R"([dhcp]
conflict_probe = "yes"
)",
     R"(diskless.toml:2:18: conflict_probe is a string; write true or false, without quotes)"},
    {"a number for a text",
     R"([server]
interface = 1
)",
     R"(diskless.toml:2:13: interface is a whole number; write an interface's name such as "eth1")"},
    {"an interface's name too long",
     R"([server]
interface = "enp0s31f6-and-more"
)",
     R"(diskless.toml:2:13: interface 'enp0s31f6-and-more' is not understood; write an interface's name such as "eth1")"},
    {"an address with prefix length",
     R"([server]
address = "192.168.77.1/24"
)",
     R"(diskless.toml:2:11: address '192.168.77.1/24' is not understood; write an IPv4 address without prefix length such as "192.168.77.1")"},
    {"a choice misspelt",
     R"([dhcp]
mode = "sever"
)",
     R"(diskless.toml:2:8: mode 'sever' is not known; did you mean "server"?)"},
    {"a choice like no other",
     R"([server]
io = "posix-aio"
)",
     R"(diskless.toml:2:6: io 'posix-aio' is not known; write "auto", "uring" or "threads")"},
    {"a fraction",
     R"([iscsi]
session_timeout = 1.5
)",
     R"(diskless.toml:2:19: session_timeout is a fraction; write a duration in quotes such as "12h", "30m", "90s" or "500ms")"},
    {"a duration without its quotes",
     R"([iscsi]
session_timeout = 30
)",
     R"(diskless.toml:2:19: session_timeout is a whole number; write a duration in quotes such as "12h", "30m", "90s" or "500ms")"},
    {"a duration misspelt",
     R"([http]
idle_timeout = "30 seconds"
)",
     R"(diskless.toml:2:16: idle_timeout '30 seconds' is not understood; write a duration in quotes such as "12h", "30m", "90s" or "500ms")"},
    {"a duration too long",
     R"([tftp]
retransmit = "10m"
)",
     R"(diskless.toml:2:14: retransmit is 10m; write a duration between 10ms and 255s)"},
    {"a size misspelt",
     R"([iscsi]
buffer_bytes = "256Mb"
)",
     R"(diskless.toml:2:16: buffer_bytes '256Mb' is not understood; write a size in quotes such as "20GiB")"},
    {"a size that is no multiple",
     R"([iscsi]
buffer_bytes = "1000"
)",
     R"(diskless.toml:2:16: buffer_bytes is 1000 bytes; write a multiple of 1048576 bytes such as "20GiB")"},
    {"an empty path",
     R"([server]
data_dir = ""
)",
     R"(diskless.toml:2:12: data_dir is empty; write a path, or remove the line)"},
    {"an iSCSI prefix in capitals",
     R"([iscsi]
target_prefix = "iqn.2026-11.lan.Lab"
)",
     R"(diskless.toml:2:17: target_prefix 'iqn.2026-11.lan.Lab' is not understood; write "iqn.", the year and month since when you own a domain, and the domain reversed, in lower case, such as "iqn.2026-11.lan.lab")"},
    {"http and iscsi on one port",
     R"([http]
port = 3260
)",
     R"(diskless.toml:2:8: [http] and [iscsi] both have port 3260; give one of them another port)"},
    {"tftp on DHCP's port",
     R"([tftp]
port = 68
)",
     R"(diskless.toml:2:8: [tftp] port 68 is one of [dhcp]'s ports 67 and 68; give one of them another port)"},
    {"a root that is not there",
     R"([tftp]
root = "$/none"
)",
     R"(diskless.toml:2:8: root '$/none' does not exist; create it, or name one that exists)"},
    {"a data directory that is a file",
     R"([server]
data_dir = "$/disk.img"
)",
     R"(diskless.toml:2:12: data_dir '$/disk.img' is not a directory; name a directory)"},
    {"a certificate that is not there",
     R"([http]
tls_cert = "$/none.pem"
tls_key = "$/key.pem"
)",
     R"(diskless.toml:2:12: tls_cert '$/none.pem' does not exist; name a PEM file that exists)"},
    {"a certificate without key",
     R"([http]
tls_cert = "$/key.pem"
)",
     R"(diskless.toml:2:12: tls_cert stands without tls_key; add tls_key = "…", or remove tls_cert)"},
    {"enroll without group",
     R"([unknown_clients]
policy = "enroll"
)",
     R"(diskless.toml:2:10: policy "enroll" needs a group whose boot and disks the new clients get; add group = "…" below it)"},
    {"an unknown group for the unknown",
     R"([unknown_clients]
group = "deks"
[[group]]
name = "desks"
)",
     R"(diskless.toml:2:9: group 'deks' is not declared; did you mean "desks"?)"},
    {"a subnet without network",
     R"([[dhcp.subnet]]
pool = ["10.0.0.10-10.0.0.20"]
)",
     R"(diskless.toml:1:1: [[dhcp.subnet]] has no network; add network = "192.168.77.0/24")"},
    {"a network with host bits",
     R"([[dhcp.subnet]]
network = "10.0.0.1/24"
)",
     R"(diskless.toml:2:11: network '10.0.0.1/24' is not understood; write a network with its prefix length and host bits zero, such as "192.168.77.0/24")"},
    {"a range upside down",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
pool = ["10.0.0.20-10.0.0.10"]
)",
     R"(diskless.toml:3:9: pool '10.0.0.20-10.0.0.10' is not understood; write a range such as "192.168.77.100-192.168.77.199", lower end first)"},
    {"a pool outside its subnet",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
pool = ["10.0.0.100-10.0.1.10"]
)",
     R"(diskless.toml:3:9: pool 10.0.0.100-10.0.1.10 is outside its subnet 10.0.0.0/24; keep it between 10.0.0.1 and 10.0.0.254)"},
    {"a pool with the broadcast address",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
pool = ["10.0.0.100-10.0.0.255"]
)",
     R"(diskless.toml:3:9: pool 10.0.0.100-10.0.0.255 holds the broadcast address 10.0.0.255; leave that address out of the pool)"},
    {"a pool with the server and the router",
     R"([server]
address = "10.0.0.1"
[[dhcp.subnet]]
network = "10.0.0.0/24"
pool = ["10.0.0.1-10.0.0.254"]
router = "10.0.0.254"
)",
     R"(diskless.toml:5:9: pool 10.0.0.1-10.0.0.254 holds the router's address 10.0.0.254; leave that address out of the pool
diskless.toml:5:9: pool 10.0.0.1-10.0.0.254 holds the server's own address 10.0.0.1; leave that address out of the pool)"},
    {"pools that overlap",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
pool = ["10.0.0.10-10.0.0.50", "10.0.0.40-10.0.0.60"]
)",
     R"(diskless.toml:3:32: pool 10.0.0.40-10.0.0.60 overlaps 10.0.0.10-10.0.0.50 at diskless.toml:3:9; let every address be in one of them only)"},
    {"subnets that overlap",
     R"([[dhcp.subnet]]
network = "10.0.0.0/16"
[[dhcp.subnet]]
network = "10.0.7.0/24"
)",
     R"(diskless.toml:4:11: network 10.0.7.0-10.0.7.255 overlaps 10.0.0.0-10.0.255.255 at diskless.toml:2:11; let every address be in one of them only)"},
    {"a router elsewhere",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
router = "10.0.1.1"
)",
     R"(diskless.toml:3:10: router 10.0.1.1 is outside its subnet 10.0.0.0/24; write the router's address on this network)"},
    {"a router that is the network",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
router = "10.0.0.0"
)",
     R"(diskless.toml:3:10: router 10.0.0.0 is the network address of 10.0.0.0/24; write the router's own address)"},
    {"a name no host can have",
     R"([[client]]
name = "Desk 01"
mac = "52:54:00:00:00:01"
boot = "local"
)",
     R"(diskless.toml:2:8: name 'Desk 01' cannot be part of host names and iSCSI names; write lower-case letters, digits, '-' and '.', at most 63, such as "desk-01")"},
    {"a client without name",
     R"([[client]]
mac = "52:54:00:00:00:01"
boot = "local"
)",
     R"(diskless.toml:1:1: [[client]] has no name; add name = "…")"},
    {"a client without identity",
     R"([[client]]
name = "a"
boot = "local"
)",
     R"(diskless.toml:1:1: [[client]] has neither mac nor uuid; add mac = "52:54:00:12:34:01", so that it can be recognised)"},
    {"a MAC that is none",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00"
boot = "local"
)",
     R"(diskless.toml:3:7: mac '52:54:00:00:00' is not understood; write a station's MAC address such as "52:54:00:12:34:01")"},
    {"a multicast MAC",
     R"([[client]]
name = "a"
mac = "01:00:5e:00:00:01"
boot = "local"
)",
     R"(diskless.toml:3:7: mac '01:00:5e:00:00:01' is not understood; write a station's MAC address such as "52:54:00:12:34:01")"},
    {"a blank UUID",
     R"([[client]]
name = "a"
uuid = "ffffffff-ffff-ffff-ffff-ffffffffffff"
boot = "local"
)",
     R"(diskless.toml:3:8: uuid 'ffffffff-ffff-ffff-ffff-ffffffffffff' is not understood; write the machine's UUID such as "4c4c4544-0042-3510-8053-b7c04f4e3732")"},
    {"a MAC twice",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
[[client]]
name = "b"
mac = "52:54:00:00:00:01"
boot = "local"
)",
     R"(diskless.toml:7:7: MAC address 52:54:00:00:00:01 already belongs to client 'a' at diskless.toml:3:7; give every client its own MAC address)"},
    {"a UUID twice",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
uuid = "4c4c4544-0042-3510-8053-b7c04f4e3732"
[[client]]
name = "b"
mac = "52:54:00:00:00:02"
boot = "local"
uuid = "4C4C4544-0042-3510-8053-B7C04F4E3732"
)",
     R"(diskless.toml:10:8: UUID 4c4c4544-0042-3510-8053-b7c04f4e3732 already belongs to client 'a' at diskless.toml:5:8; give every client its own UUID)"},
    {"an address twice",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
address = "10.0.0.9"
[[client]]
name = "b"
mac = "52:54:00:00:00:02"
boot = "local"
address = "10.0.0.9"
)",
     R"(diskless.toml:12:11: address 10.0.0.9 already belongs to client 'a' at diskless.toml:7:11; give every client its own address)"},
    {"a name twice",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
[[client]]
name = "a"
mac = "52:54:00:00:00:02"
boot = "local"
)",
     R"(diskless.toml:6:8: client 'a' is already declared at diskless.toml:2:8; give it another name)"},
    {"a group twice",
     R"([[group]]
name = "g"
[[group]]
name = "g"
)",
     R"(diskless.toml:4:8: group 'g' is already declared at diskless.toml:2:8; give it another name)"},
    {"an image twice",
     R"([[image]]
name = "i"
file = "$/disk.img"
[[image]]
name = "i"
file = "$/disk.img"
)",
     R"(diskless.toml:5:8: image 'i' is already declared at diskless.toml:2:8; give it another name)"},
    {"a target named like a client",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
[[target]]
name = "a"
luns = []
)",
     R"(diskless.toml:6:8: target 'a' has the iSCSI name of the client at diskless.toml:2:8; give it another name)"},
    {"an address in no subnet",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
address = "10.0.1.9"
)",
     R"(diskless.toml:7:11: address 10.0.1.9 is in no [[dhcp.subnet]]; write an address of one of the subnets, or declare its subnet)"},
    {"the server's address",
     R"([server]
address = "10.0.0.1"
[[dhcp.subnet]]
network = "10.0.0.0/24"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
address = "10.0.0.1"
)",
     R"(diskless.toml:9:11: address 10.0.0.1 is the server's own; give the client another address)"},
    {"the router's address",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
router = "10.0.0.254"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
address = "10.0.0.254"
)",
     R"(diskless.toml:8:11: address 10.0.0.254 is the router's; give the client another address)"},
    {"the broadcast address",
     R"([[dhcp.subnet]]
network = "10.0.0.0/24"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
address = "10.0.0.255"
)",
     R"(diskless.toml:7:11: address 10.0.0.255 is the broadcast address of 10.0.0.0/24; give the client another address)"},
    {"an unknown group",
     R"([[group]]
name = "desks"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
group = "desk"
)",
     R"(diskless.toml:7:9: group 'desk' is not declared; did you mean "desks"?)"},
    {"an unknown image",
     R"([[image]]
name = "debian-12"
file = "$/disk.img"
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
disks = [ { lun = 0, image = "windows@3" } ]
)",
     R"(diskless.toml:8:30: image 'windows' is not declared; declare it with [[image]], or write one of: debian-12)"},
    {"an image's file that is not there",
     R"([[image]]
name = "debian-12"
file = "$/none.qcow2"
)",
     R"(diskless.toml:3:8: file '$/none.qcow2' does not exist; copy the image there, or correct the path)"},
    {"a disk's file that is not there",
     R"([[target]]
name = "t"
luns = [ { lun = 0, file = "$/none.img" } ]
)",
     R"(diskless.toml:3:28: file '$/none.img' does not exist; create it, or add size = "20GiB" to have it made)"},
    {"a disk's file in a folder that is not there",
     R"([[target]]
name = "t"
luns = [ { lun = 0, file = "$/none/disk.img", size = "1GiB" } ]
)",
     R"(diskless.toml:3:28: file '$/none/disk.img' cannot be made: its folder does not exist; create the folder, or correct the path)"},
    {"a folder for a disk",
     R"([[target]]
name = "t"
luns = [ { lun = 0, file = "$" } ]
)",
     R"(diskless.toml:3:28: file '$' is a directory; name a file)"},
    {"an empty disk",
     R"([[target]]
name = "t"
luns = [ { lun = 0, file = "$/empty.img" } ]
)",
     R"(diskless.toml:3:28: file '$/empty.img' is empty; copy a disk image into it)"},
    {"a file smaller than its size",
     R"([[target]]
name = "t"
luns = [ { lun = 0, file = "$/disk.img", size = "1GiB" } ]
)",
     R"(diskless.toml:3:75: file '$/disk.img' has 1MiB, less than its size 1GiB; write size = "1MiB", or grow it: truncate -s 1073741824 FILE)"},
    {"a device that is none",
     R"([[target]]
name = "t"
luns = [ { lun = 0, file = "/dev/null" } ]
)",
     R"(diskless.toml:3:28: file '/dev/null' is neither a file nor a block device; name a file)"},
    {"a size that is no size",
     R"([[target]]
name = "t"
luns = [ { lun = 0, size = "20 gigs" } ]
)",
     R"(diskless.toml:3:28: size '20 gigs' is not understood; write a size in quotes such as "20GiB")"},
    {"a disk of no whole blocks",
     R"([[target]]
name = "t"
luns = [ { lun = 0, size = "1000" } ]
)",
     R"(diskless.toml:3:28: size is 1000 bytes; write a multiple of 512 bytes such as "20GiB")"},
    {"a disk from nowhere",
     R"([[target]]
name = "t"
luns = [ { lun = 0 } ]
)",
     R"(diskless.toml:3:10: the disk has no image, file or size; add image = "…", file = "…", or size = "20GiB" for a blank disk)"},
    {"a disk from two places",
     R"([[target]]
name = "t"
luns = [ { lun = 0, image = "debian-12", size = "1GiB" } ]
)",
     R"(diskless.toml:3:10: the disk has both image and size; keep one of them; only file and size go together)"},
    {"a disk without LUN",
     R"([[target]]
name = "t"
luns = [ { size = "1GiB" } ]
)",
     R"(diskless.toml:3:10: the disk has no lun; add lun = 0)"},
    {"a LUN too high",
     R"([[target]]
name = "t"
luns = [ { lun = 256, size = "1GiB" } ]
)",
     R"(diskless.toml:3:18: lun is 256; write a whole number between 0 and 255)"},
    {"a LUN twice",
     R"([[target]]
name = "t"
luns = [ { lun = 3, size = "1GiB" }, { lun = 3, size = "1GiB" } ]
)",
     R"(diskless.toml:3:46: LUN 3 is already used at diskless.toml:3:18; give every disk its own lun)"},
    {"a target without LUNs",
     R"([[target]]
name = "t"
)",
     R"(diskless.toml:1:1: [[target]] has no luns; add luns = [ { lun = 0, file = "…" } ])"},
    {"luns that are no list",
     R"([[target]]
name = "t"
luns = "disk.img"
)",
     R"(diskless.toml:3:1: luns is a string; write a list: luns = [ { lun = 0, … } ])"},
    {"a list of something else",
     R"([[target]]
name = "t"
luns = [ "disk.img" ]
)",
     R"(diskless.toml:3:10: luns holds a string; write a list: luns = [ { lun = 0, … } ])"},
    {"a target's key in a client",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
disks = [ { lun = 0, size = "1GiB", read_only = true } ]
)",
     R"(diskless.toml:5:37: unknown key 'read_only' in the disk; remove it (known: lun, image, file, size, description, block_size, physical_block_size, thin, removable, sanitize, mode))"},
    {"a mode misspelt",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
disks = [ { lun = 0, size = "1GiB", mode = "readonly" } ]
)",
     R"(diskless.toml:5:44: mode 'readonly' is not known; did you mean "read-only"?)"},
    {"a boot method like no other",
     R"([[group]]
name = "g"
boot = "pxelinux"
)",
     R"(diskless.toml:3:8: boot 'pxelinux' is not known; write "sanboot", "kernel", "menu", "script" or "local")"},
    {"sanboot without a disk",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
)",
     R"(diskless.toml:2:8: client 'a' boots from its disk (sanboot) but has none with LUN 0; add disks = [ { lun = 0, … } ], or write boot = "local")"},
    {"sanboot without LUN 0, said once for a whole group",
     R"([[group]]
name = "g"
boot = "sanboot"
disks = [ { lun = 1, size = "1GiB" } ]
[[client]]
name = "a"
mac = "52:54:00:00:00:00"
group = "g"
[[client]]
name = "b"
mac = "52:54:00:00:00:01"
group = "g"
[[client]]
name = "c"
mac = "52:54:00:00:00:02"
group = "g"
)",
     R"(diskless.toml:3:8: group 'g' boots from its disk (sanboot) but has none with LUN 0; add disks = [ { lun = 0, … } ], or write boot = "local")"},
    {"enrolled clients that cannot boot",
     R"([unknown_clients]
policy = "enroll"
group = "g"
[[group]]
name = "g"
)",
     R"(diskless.toml:5:8: group 'g' boots from its disk (sanboot) but has none with LUN 0; add disks = [ { lun = 0, … } ], or write boot = "local")"},
    {"kernel without command line",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "kernel"
)",
     R"(diskless.toml:4:8: client 'a' boots a kernel but has no cmdline; add cmdline = "root=LABEL=root ro ip=dhcp {iscsi}")"},
    {"a script without one",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "script"
)",
     R"(diskless.toml:4:8: client 'a' boots a script but names none; add script = "…", a path below the boot root)"},
    {"a kernel outside the boot root",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
kernel = "../../etc/passwd"
)",
     R"(diskless.toml:5:10: kernel '../../etc/passwd' is not understood; write a path below the boot root without spaces such as "vmlinuz")"},
    {"a command line of two lines",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
cmdline = "quiet\nshell"
)",
     R"(diskless.toml:5:11: cmdline holds a line break or another control character; write it on one line)"},
    {"an initiator that is no name",
     R"([[target]]
name = "t"
luns = []
initiators = ["desk-01"]
)",
     R"(diskless.toml:4:15: initiators 'desk-01' is not understood; write an initiator's name in lower case, '*' for what is left open, such as "iqn.1993-08.org.debian:*" or "*")"},
    {"a disk that two clients write",
     R"([[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
disks = [ { lun = 0, file = "$/disk.img" } ]
[[client]]
name = "b"
mac = "52:54:00:00:00:02"
boot = "local"
disks = [ { lun = 0, file = "$/./disk.img" } ]
)",
     R"(diskless.toml:10:29: file '$/disk.img' would be written by client 'b' while client 'a' uses it (diskless.toml:5:29); give each its own file, or make all of them mode = "shared" or "read-only")"},
    {"a group's disk that its clients would all write",
     R"([[group]]
name = "g"
disks = [ { lun = 0, file = "$/disk.img" } ]
[[client]]
name = "a"
mac = "52:54:00:00:00:01"
boot = "local"
group = "g"
[[client]]
name = "b"
mac = "52:54:00:00:00:02"
boot = "local"
group = "g"
)",
     R"(diskless.toml:3:29: file '$/disk.img' would be written by client 'b' while client 'a' uses it (diskless.toml:3:29); give each its own file, or make all of them mode = "shared" or "read-only")"},
    {"an image below somebody's writes",
     R"([[image]]
name = "i"
file = "$/disk.img"
[[target]]
name = "t"
luns = [ { lun = 0, file = "$/disk.img" } ]
)",
     R"(diskless.toml:6:28: file '$/disk.img' would be written by target 't' while image 'i' uses it (diskless.toml:3:8); give each its own file, or make all of them mode = "shared" or "read-only")"},
    {"everything at once, in the order of the file",
     R"([dhcp]
mode = "on"
[server]
io_threads = -1
[tftp]
prot = 69
)",
     R"(diskless.toml:2:8: mode 'on' is not known; write "server", "proxy" or "off"
diskless.toml:4:14: io_threads is -1; write a whole number between 0 and 256
diskless.toml:6:1: unknown key 'prot' in [tftp]; did you mean 'port'?)"},
};
// clang-format on

}  // namespace

TEST_CASE("every mistake is told with its place and a remedy") {
    const Sandbox sandbox;
    sandbox.file("disk.img");
    sandbox.file("key.pem");
    sandbox.file("empty.img", 0);
    for (const Mistake& mistake : mistakes) {
        CAPTURE(mistake.title);
        const std::string folder = sandbox.path().native();
        CHECK(replaced(findings_in(replaced(mistake.text, "$", folder)), folder, "$") == mistake.findings);
    }
}

TEST_CASE("text that is not UTF-8 is refused in one line") {
    CHECK(findings_in("\xff\xfe") ==
          "diskless.toml:1:1: this is not TOML: Encountered invalid utf-8 sequence; correct the line, or what stands before it");
}

TEST_CASE("a file that cannot be read") {
    const auto refusal = [](const std::filesystem::path& file) {
        try {
            (void)load(file);
            return std::string{};
        } catch (const ConfigError& error) {
            return std::string{error.what()};
        }
    };
    const Sandbox sandbox;
    const auto none = sandbox.path() / "none.toml";
    CHECK(refusal(none) == none.native() + ": cannot be read: No such file or directory; create it, or name another with --config");
    CHECK(refusal(sandbox.path()) == sandbox.path().native() + ": cannot be read: it is a directory; name the configuration file");
}

TEST_CASE("files that this user may not touch") {
    const Sandbox sandbox;
    sandbox.file("disk.img");
    std::filesystem::permissions(sandbox.path(), std::filesystem::perms{0755});
    const std::string text =
        "[[target]]\nname = \"t\"\nluns = [ { lun = 0, file = \"" + (sandbox.path() / "disk.img").native() + "\" } ]\n";
    // root may touch everything: become nobody for the check.
    const uid_t self = ::geteuid();
    const auto findings_with = [&](std::filesystem::perms permissions) {
        std::filesystem::permissions(sandbox.path() / "disk.img", permissions);
        if (self == 0) REQUIRE(::seteuid(65534) == 0);
        std::string findings = findings_in(text);
        if (self == 0) REQUIRE(::seteuid(0) == 0);
        return findings;
    };
    CHECK(findings_with(std::filesystem::perms{0444}).ends_with("cannot be written; check its owner and mode, or make the disk read-only"));
    CHECK(findings_with(std::filesystem::perms::none).ends_with("cannot be read; check its owner and mode"));
}

TEST_CASE("a thousand mistakes are a thousand lines, and ten thousand clients are read at once") {
    std::string wrong;
    std::string right = "[[dhcp.subnet]]\nnetwork = \"10.0.0.0/8\"\n";
    for (int i = 0; i < 1000; ++i)
        wrong.append("[[client]]\nname = \"c").append(std::to_string(i)).append("\"\nuuid = 7\nboot = \"local\"\n");
    const std::string findings = findings_in(wrong);
    CHECK(std::count(findings.begin(), findings.end(), '\n') == 999);
    for (int i = 0; i < 10000; ++i) {
        const diskless::Ipv4Address address{0x0a000001u + static_cast<std::uint32_t>(i)};
        const std::string digits = std::to_string(100000 + i);
        right += "[[client]]\nname = \"c" + digits + "\"\nmac = \"52:54:00" + digits + "\"\naddress = \"" + address.text() +
                 "\"\nboot = \"local\"\n";
    }
    CHECK(parse(right, "diskless.toml").declared.clients.size() == 10000);
}
