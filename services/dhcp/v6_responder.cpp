#include "services/dhcp/v6_responder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace diskless::dhcp::v6 {
namespace {

/// Whoever is sure of a machine need not be waited for (RFC 8415 18.2.1).
constexpr std::uint8_t highest_preference = 255;

/// The identifier of an address that no MAC is known for. FNV-1a; never of a form that tells a MAC.
Ipv6Address address_by_duid(const Ipv6Network& network, ByteSpan duid) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::byte octet : duid) hash = (hash ^ std::to_integer<std::uint64_t>(octet)) * 0x100000001b3;
    Ipv6Address made = network.address;
    store_be(MutableByteSpan{made.octets}, 8, hash);
    made.octets[8] &= std::byte{0xfd};  // made here, by nobody's number
    if (made.octets[11] == std::byte{0xff}) made.octets[11] = std::byte{0};
    return made;
}

/// Messages for all servers, and those for one (RFC 8415 16).
bool names_a_server(MessageType type) noexcept {
    switch (type) {
        case MessageType::request:
        case MessageType::renew:
        case MessageType::release:
        case MessageType::decline: return true;
        default: return false;
    }
}

struct Machine {
    std::optional<MacAddress> mac;
    const boot::Client* client = nullptr;
};

/// The relay saw the card; a link-local address is mostly made of it; a DUID often. The UUID is a machine's, whichever card asks. Firmware
/// sends it in either order of its first bytes.
Machine identify(const Request& request, const Ipv6Address& from, const boot::Catalog& catalog) {
    Machine machine;
    if (!request.hops.empty()) machine.mac = request.hops.back().link_layer;
    const Ipv6Address& itself = request.hops.empty() ? from : request.hops.back().peer;
    if (!machine.mac && itself.is_link_local()) machine.mac = itself.mac();
    if (!machine.mac) machine.mac = mac_in_duid(request.client_id);
    if (machine.mac) machine.client = catalog.by_mac(*machine.mac);
    if (const auto uuid = uuid_in_duid(request.client_id); machine.client == nullptr && uuid) {
        Uuid as_it_is;
        std::ranges::copy(*uuid, as_it_is.octets.begin());
        for (const Uuid& candidate : {as_it_is, Uuid::from_wire(*uuid)}) {
            if (machine.client == nullptr && !candidate.is_blank()) machine.client = catalog.by_uuid(candidate);
        }
        if (machine.client != nullptr && !machine.client->macs.empty()) machine.mac = machine.client->macs.front();
    }
    return machine;
}

boot::Firmware firmware_in(const Request& request) noexcept {
    // iPXE does not tell over DHCPv6 what it can do. With IPv6 built in it knows HTTP.
    return boot::firmware_of({.architecture = request.architecture,
                              .vendor_class = request.vendor_class,
                              .user_class = request.user_class,
                              .requested = {},
                              .ipxe_http = true});
}

}  // namespace

struct Responder::Exchange {
    const Request& request;
    const boot::Client* client;
    std::optional<MacAddress> mac;
    const config::Subnet6& subnet;
};

const config::Subnet6* Responder::subnet_of(const Request& request) const noexcept {
    std::optional<Ipv6Address> at = setup_.server.address6;
    // The relay next to the client knows its link (RFC 8415 13.1); one that has no address there says nothing.
    for (const Hop& hop : request.hops) {
        if (!hop.link.is_unspecified()) at = hop.link;
    }
    const auto found =
        std::ranges::find_if(setup_.subnets, [&](const config::Subnet6& subnet) { return at && subnet.network.contains(*at); });
    return found != setup_.subnets.end() ? &*found : nullptr;
}

Ipv6Address Responder::address_for(const Exchange& exchange) const {
    const Ipv6Network& network = exchange.subnet.network;
    if (exchange.mac) {
        const Ipv6Address own = network.with(*exchange.mac);
        if (!declined_.contains(own) && own != setup_.server.address6) return own;
    }
    return address_by_duid(network, exchange.request.client_id);
}

std::string Responder::boot_url(const boot::BootPlan& plan) const {
    if (plan.boot_file.empty() || plan.boot_file.contains("://")) return plan.boot_file;
    const boot::BootServer& server = setup_.server;
    constexpr std::uint16_t well_known = 69;
    return server.tftp_port == well_known ? fmt::format("tftp://{}/{}", server.host(), plan.boot_file)
                                          : fmt::format("tftp://{}:{}/{}", server.host(), server.tftp_port, plan.boot_file);
}

void Responder::add_settings(const Exchange& exchange, Decision& decision) const {
    Reply& reply = decision.reply;
    reply.dns = exchange.subnet.dns;
    reply.domain = exchange.subnet.domain;
    const boot::Stage stage = decision.firmware.stage;
    if (stage != boot::Stage::pxe_rom && stage != boot::Stage::http_firmware && stage != boot::Stage::ipxe) return;
    const boot::BootPlan plan = boot::plan_boot(exchange.client, decision.firmware, setup_.server);
    if (!plan.boots) return;
    reply.boot_file_url = boot_url(plan);
    if (stage == boot::Stage::http_firmware) reply.vendor_class = plan.vendor_class;
}

/// SOLICIT, REQUEST, RENEW and REBIND alike: the machine's own address, and an end for any other.
void Responder::grant(const Exchange& exchange, Decision& decision) const {
    const Ipv6Address own = address_for(exchange);
    bool first = true;
    for (const Association& association : exchange.request.associations) {
        Granted granted{.id = association.id, .address = {}, .ended = association.addresses, .status = {}};
        std::erase(granted.ended, own);
        if (exchange.request.type == MessageType::solicit || exchange.request.type == MessageType::request) granted.ended.clear();
        if (std::exchange(first, false)) {
            granted.address = own;
        } else {
            granted.status = Status::no_addresses;  // one card, one address
        }
        decision.reply.granted.push_back(std::move(granted));
    }
    decision.reply.valid = exchange.subnet.lease_time;
    if (!first) decision.address = own;
    add_settings(exchange, decision);
}

void Responder::confirm(const Exchange& exchange, Decision& decision) const {
    bool any = false, all_here = true;
    for (const Association& association : exchange.request.associations) {
        for (const Ipv6Address& address : association.addresses) {
            any = true;
            all_here = all_here && exchange.subnet.network.contains(address);
        }
    }
    if (!any) {
        decision.action = Decision::Action::ignore;
        decision.reason = "confirms_nothing";
        return;
    }
    decision.reply.status = all_here ? Status::success : Status::not_on_link;
}

void Responder::release(const Exchange& exchange, Decision& decision) const {
    decision.address = address_for(exchange);
    decision.reply.status = Status::success;
}

/// Only its own address can a machine decline.
void Responder::decline(const Exchange& exchange, Decision& decision) {
    const Ipv6Address own = address_for(exchange);
    decision.reply.status = Status::success;
    for (const Association& association : exchange.request.associations) {
        if (std::ranges::find(association.addresses, own) == association.addresses.end()) continue;
        decision.address = own;
        if (declined_.size() < max_declined) declined_.insert(own);
    }
}

Decision Responder::respond(const Request& request, const Ipv6Address& from, const boot::Catalog& catalog) {
    Decision decision{.reason = "ignored", .reply = {}, .mac = {}, .firmware = firmware_in(request), .address = {}};
    const Machine machine = identify(request, from, catalog);
    decision.mac = machine.mac;
    decision.client = machine.client;
    const auto silence = [&](std::string_view reason) {
        decision.reason = reason;
        return decision;
    };
    const bool informs = request.type == MessageType::information_request;
    if (request.client_id.empty() && !informs) return silence("no_client_id");
    if (names_a_server(request.type) || (informs && !request.server_id.empty())) {
        if (!std::ranges::equal(request.server_id, duid())) return silence("chose_other_server");
    } else if (!request.server_id.empty()) {
        return silence("names_a_server");
    }
    const config::Subnet6* subnet = subnet_of(request);
    if (subnet == nullptr) return silence("no_subnet");
    if (machine.client == nullptr && setup_.unknown != config::UnknownPolicy::menu) {
        if (setup_.unknown == config::UnknownPolicy::enroll && machine.mac && request.type == MessageType::solicit)
            decision.action = Decision::Action::enroll;
        return silence("unknown_client");
    }
    decision.action = Decision::Action::reply;
    const Exchange exchange{.request = request, .client = machine.client, .mac = machine.mac, .subnet = *subnet};
    switch (request.type) {
        case MessageType::solicit:
            decision.reason = request.rapid_commit ? "replied" : "advertised";
            decision.reply.type = request.rapid_commit ? MessageType::reply : MessageType::advertise;
            decision.reply.rapid_commit = request.rapid_commit;
            if (machine.client != nullptr) decision.reply.preference = highest_preference;
            grant(exchange, decision);
            break;
        case MessageType::request:
        case MessageType::renew:
        case MessageType::rebind:
            decision.reason = "replied";
            grant(exchange, decision);
            break;
        case MessageType::confirm:
            decision.reason = "confirmed";
            confirm(exchange, decision);
            break;
        case MessageType::release:
            decision.reason = "released";
            release(exchange, decision);
            break;
        case MessageType::decline:
            decision.reason = "declined";
            decline(exchange, decision);
            break;
        default:
            decision.reason = "informed";
            add_settings(exchange, decision);
            break;
    }
    return decision;
}

}  // namespace diskless::dhcp::v6
