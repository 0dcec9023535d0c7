// Captures of real firmware replayed through the decoder and the responder (tests/golden/dhcp). Every packet of every capture is looked at:
// the client's packets get the answers our server would give, and the reference server's replies are not taken for requests.
#include <set>

#include "packets.hpp"
#include "services/dhcp/delivery.hpp"
#include "services/dhcp/request_view.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;

namespace {

const Ipv4Address server_address = ip("10.77.0.1");
const MacAddress captured_mac = mac("52:54:00:e2:e0:01");

struct Golden {
    const char* file;
    std::size_t requests;
    std::vector<const char*> who;  ///< of each ACK, in order: loader by loader, then the system
    std::vector<const char*> files;
};

const char* const script = "http://10.77.0.1:8080/boot.ipxe?mac=52-54-00-e2-e0-01";
const char* const bios_ipxe = "PXEClient:Arch:00000 (BIOS, iPXE)";
const char* const uefi_ipxe = "PXEClient:Arch:00007 (UEFI x64, iPXE)";
const char* const uefi_rom = "PXEClient:Arch:00007 (UEFI x64, PXE ROM)";
const char* const initramfs = "Linux ipconfig (initramfs)";

// Both iPXEs say the same: the card's ROM, and undionly that it loaded.
const std::vector<Golden> goldens{
    {"bios-ipxe-rom-sanboot-linux.pcap", 5, {bios_ipxe, initramfs}, {script, ""}},
    {"bios-undionly-linux.pcap", 8, {bios_ipxe, bios_ipxe, initramfs}, {script, script, ""}},
    {"uefi-pxe-snponly-linux.pcap", 7, {uefi_rom, uefi_ipxe, initramfs}, {"snponly.efi", script, ""}},
    {"uefi-pxe-ipxeefi-linux.pcap", 7, {uefi_rom, uefi_ipxe, initramfs}, {"snponly.efi", script, ""}},
    {"uefi-pxe-kernel-http-linux.pcap", 7, {uefi_rom, uefi_ipxe, initramfs}, {"snponly.efi", script, ""}},
    {"uefi-httpboot-snponly-linux.pcap",
     7,
     {"HTTPClient:Arch:00016 (UEFI x64, HTTP boot)", uefi_ipxe, initramfs},
     {"http://10.77.0.1:8080/boot/snponly.efi", script, ""}},
};

boot::Catalog catalog(bool reserved) {
    boot::CatalogData data;
    data.clients.push_back({.name = "c0",
                            .macs = {captured_mac},
                            .address = reserved ? std::optional{ip("10.77.0.101")} : std::nullopt,
                            .settings = {.disks = {{{.lun = 0, .source = boot::FileSource{.path = "c0.img"}}}}}});
    return boot::Catalog{std::move(data)};
}

Responder responder() {
    config::Dhcp dhcp;
    dhcp.subnets.push_back({.network = Ipv4Network::parse("10.77.0.0/24").value(),
                            .pool = {Ipv4Range::parse("10.77.0.101-10.77.0.109").value()},
                            .router = server_address,
                            .dns = {server_address},
                            .lease_time = std::chrono::hours{1}});
    return Responder{{.dhcp = dhcp, .server = {.address = server_address, .target_prefix = "iqn.2026-11.test"}}};
}

/// The size the service would allow: what each of these clients says (1472) or what everybody must take (576), less IP and UDP headers.
std::size_t limit_of(const wire::Request& request) { return request.options.has(Option::max_message_size) ? 1444 : 548; }

}  // namespace

TEST_CASE("every packet of every capture is read, and reads as what it is") {
    for (const Golden& golden : goldens) {
        INFO(golden.file);
        std::size_t requests = 0;
        for (const Captured& packet : read_capture(golden.file)) {
            const auto request = wire::decode(packet.message);
            REQUIRE(request.has_value() == packet.is_request());
            if (!request) {
                CHECK(request.error().reason == "not_a_request");
                continue;
            }
            ++requests;
            CHECK(request->header.chaddr == captured_mac);
            CHECK(request->header.giaddr.is_unspecified());
            CHECK((request->type == MessageType::discover || request->type == MessageType::request));
            // The second reader finds the same options.
            const Read again{packet.message};
            for (const auto& [code, value] : again.options) CHECK(request->options.text(static_cast<Option>(code)) == value);
        }
        CHECK(requests == golden.requests);
    }
}

TEST_CASE("the captured boots, answered by us: one address from ROM to system, the right file at each stage, one commit") {
    for (const Golden& golden : goldens) {
        for (const bool reserved : {true, false}) {
            INFO(golden.file << (reserved ? ", reserved" : ", from the pool"));
            const boot::Catalog clients = catalog(reserved);
            Responder server = responder();
            std::set<Ipv4Address> addresses;
            std::size_t acks = 0;
            std::size_t commits = 0;
            Seconds now = at(0);
            for (const Captured& packet : read_capture(golden.file)) {
                if (!packet.is_request()) continue;
                now += std::chrono::seconds{4};
                const wire::Request request = wire::decode(packet.message).value();
                const Decision decision = server.respond(request, clients, now);
                const Read reply = read(decision, limit_of(request));
                if (decision.store) {
                    ++commits;
                    server.leases().committed(decision.store->address, decision.store->mac, decision.store->expires);
                }
                addresses.insert(reply.yiaddr());
                CHECK(reply.xid() == request.header.xid);
                CHECK(reply.flags() == request.header.flags);
                CHECK(reply.get(Option::server_identifier) == octets(server_address));
                CHECK(reply.get(Option::client_identifier) == request.options.text(Option::client_identifier));
                CHECK(reply.get(Option::host_name) == "c0");
                CHECK(reply.has(Option::router) == request.options.text(Option::parameter_request_list).contains('\x03'));
                REQUIRE(acks < golden.files.size());
                const std::string file = golden.files[acks];
                CHECK(reply.file() == file);
                CHECK(reply.get(Option::bootfile_name) == (file.empty() ? file : file + '\0'));
                CHECK(reply.siaddr() == (file.empty() ? Ipv4Address{} : server_address));
                const std::string_view vendor_class = request.options.text(Option::vendor_class);
                const bool ipxe = request.options.text(Option::user_class) == "iPXE";
                CHECK(reply.get(Option::vendor_class) == (ipxe || file.empty() ? "" : vendor_class.substr(0, vendor_class.find(':'))));
                CHECK(reply.has(Option::vendor_specific) == (!ipxe && vendor_class.starts_with("PXEClient")));
                CHECK(reply.has(Option::ipxe) == ipxe);
                CHECK(reply.get(Option::initiator_iqn) == (ipxe ? "iqn.2026-11.test.initiator:c0" : ""));
                if (request.type == MessageType::discover) {
                    CHECK(reply.type() == MessageType::offer);
                    continue;
                }
                CHECK(reply.type() == MessageType::ack);
                CHECK(reply.yiaddr() == request.options.address(Option::requested_address));
                CHECK(describe(decision.firmware, vendor_class) == golden.who[acks]);
                ++acks;
            }
            CHECK(acks == golden.who.size());
            CHECK(addresses == std::set{ip("10.77.0.101")});
            CHECK(commits == 1);
        }
    }
}

TEST_CASE("replies travel where the reference server's did: raw to the offered address, or by broadcast where the client asks for it") {
    for (const Golden& golden : goldens) {
        INFO(golden.file);
        const boot::Catalog clients = catalog(true);
        Responder server = responder();
        std::optional<Delivery> ours;
        for (const Captured& packet : read_capture(golden.file)) {
            if (packet.is_request()) {
                const wire::Request request = wire::decode(packet.message).value();
                const Decision decision = server.respond(request, clients, at(0));
                ours = delivery_of(decision.reply.header, decision.reply_type, true);
            } else {
                REQUIRE(ours);
                CHECK(ours->address == packet.to);
                CHECK(ours->mac == captured_mac);
            }
        }
    }
}

TEST_CASE("nobody declared the captured machine: silence from its first packet to its last") {
    const boot::Catalog nobody;
    for (const Golden& golden : goldens) {
        Responder server = responder();
        for (const Captured& packet : read_capture(golden.file)) {
            if (!packet.is_request()) continue;
            const wire::Request request = wire::decode(packet.message).value();
            CHECK(server.respond(request, nobody, at(0)).action == Decision::Action::none);
        }
    }
}
