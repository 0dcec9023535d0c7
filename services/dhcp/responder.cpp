#include "services/dhcp/responder.hpp"

#include <algorithm>

#include "services/dhcp/request_view.hpp"

namespace diskless::dhcp {
namespace {

using wire::MessageType;
using wire::Option;

constexpr std::size_t max_client_text = 255;  // of what a client says of itself, so much is kept: an option's length

std::vector<std::vector<Ipv4Range>> pools_of(const config::Dhcp& dhcp) {
    std::vector<std::vector<Ipv4Range>> pools;
    for (const config::Subnet& subnet : dhcp.subnets) pools.push_back(subnet.pool);
    return pools;
}

std::string kept(std::string_view said) { return std::string{said.substr(0, max_client_text)}; }

}  // namespace

Responder::Responder(Setup setup) : setup_{std::move(setup)}, leases_{pools_of(setup_.dhcp), setup_.dhcp.max_leases} {}

Decision Responder::respond(const wire::Request& request, const boot::Catalog& catalog, Seconds now) {
    const boot::Client* client = client_of(request, catalog);
    const config::UnknownPolicy policy = setup_.unknown_clients.policy;
    if (client == nullptr && policy != config::UnknownPolicy::menu) return stranger(request, policy);
    const auto subnet = subnet_of(request);
    if (!subnet) return silence("no_subnet");
    const Exchange exchange{
        request, catalog, now, client, boot::firmware_of(hints_of(request.options)), *subnet, setup_.dhcp.subnets[*subnet]};
    switch (request.type) {
        case MessageType::discover: return discover(exchange);
        case MessageType::request: return this->request(exchange);
        case MessageType::decline: return decline(exchange);
        case MessageType::release: return release(exchange);
        case MessageType::inform: return inform(exchange);
        case MessageType::bootp: return bootp(exchange);
        default: return silence("not_for_servers");
    }
}

std::optional<std::size_t> Responder::subnet_holding(Ipv4Address address) const {
    const auto holds = [address](const config::Subnet& subnet) { return subnet.network.contains(address); };
    const auto found = std::ranges::find_if(setup_.dhcp.subnets, holds);
    if (found == setup_.dhcp.subnets.end()) return std::nullopt;
    return static_cast<std::size_t>(found - setup_.dhcp.subnets.begin());
}

// RFC 2131 4.3.1: the relay's network, else the one the client says it is on, else ours.
std::optional<std::size_t> Responder::subnet_of(const wire::Request& request) const {
    const wire::Header& h = request.header;
    if (!h.giaddr.is_unspecified()) return subnet_holding(link_selection(request.options).value_or(h.giaddr));
    if (const auto selected = request.options.address(Option::subnet_selection)) return subnet_holding(*selected);
    if (!h.ciaddr.is_unspecified()) {
        const auto said = subnet_holding(h.ciaddr);
        // A machine that was carried here asks for its old address: ours is the network that is to refuse it.
        if (said || request.type != MessageType::request) return said;
    }
    return subnet_holding(setup_.server.address);
}

/// The declared address, where it is on the network the client asks from and nobody else was found sitting on it.
std::optional<Ipv4Address> Responder::reservation(const Exchange& exchange) const {
    if (exchange.client == nullptr || !exchange.client->address) return std::nullopt;
    const Ipv4Address address = *exchange.client->address;
    if (!exchange.subnet.network.contains(address)) return std::nullopt;
    const Lease* lease = leases_.find(address);
    if (lease != nullptr && lease->state == LeaseState::declined && lease->expires > exchange.now) return std::nullopt;
    return address;
}

bool Responder::unavailable(const Exchange& exchange, Ipv4Address address) const {
    return address == setup_.server.address || address == exchange.subnet.router || exchange.catalog.by_address(address) != nullptr;
}

/// Whether the machine is to use this address from now on: its reservation, else the pool address that is its own.
bool Responder::may_have(const Exchange& exchange, Ipv4Address address) const {
    if (const auto reserved = reservation(exchange)) return address == *reserved;
    const Lease* lease = leases_.of(exchange.mac());
    return lease != nullptr && lease->address == address && !unavailable(exchange, address) &&
           leases_.in_pool(exchange.subnet_index, address);
}

/// Whether a machine that runs on this address may go on: nobody else has a claim on it. More than may_have(), for a refusal would take
/// the disk away under a running system: its reservation may have changed since it started, or our leases may be lost.
bool Responder::may_keep(const Exchange& exchange, Ipv4Address address) const {
    const Lease* lease = leases_.find(address);
    const bool own = lease != nullptr && lease->mac == exchange.mac();
    return (own || leases_.in_pool(exchange.subnet_index, address)) && exchange.subnet.network.contains(address) &&
           leases_.is_free(address, exchange.mac(), exchange.now) && !unavailable(exchange, address);
}

/// Strangers, however many, leave an address to every declared machine that has none yet.
std::size_t Responder::kept_for_declared(const Exchange& exchange) const {
    const std::vector<boot::Client>& clients = exchange.catalog.clients();
    if (exchange.client != nullptr || leases_.never_used(exchange.subnet_index) > clients.size()) return 0;  // or there are enough for all
    return static_cast<std::size_t>(std::ranges::count_if(clients, [&](const boot::Client& client) {
        return !client.address && std::ranges::none_of(client.macs, [&](const MacAddress& mac) { return leases_.of(mac) != nullptr; });
    }));
}

// --- INIT, SELECTING -------------------------------------------------------------------------------------------------------------------

Decision Responder::discover(const Exchange& exchange) {
    const Seconds until = exchange.now + offer_time;
    const auto reserved = reservation(exchange);
    std::optional<Ipv4Address> address = reserved;
    bool fresh = false;
    if (reserved) {
        fresh = !leases_.is_free(*reserved, exchange.mac(), exchange.now);  // reserved while another machine still had it
        leases_.hold(*reserved, exchange.mac(), until);
    } else {
        const Lease* before = leases_.of(exchange.mac());
        const std::optional<Ipv4Address> own = before != nullptr ? std::optional{before->address} : std::nullopt;
        const auto wanted = exchange.request.options.address(Option::requested_address);
        const auto blocked = [&](Ipv4Address a) { return unavailable(exchange, a) || (a != own && in_use_(a)); };
        address = leases_.offer(exchange.mac(), exchange.subnet_index, wanted, exchange.now, until, blocked, kept_for_declared(exchange));
        if (!address) return silence("pool_exhausted");
        fresh = address != own;
    }
    Decision decision = reply(exchange, MessageType::offer, "offered", *address, true);
    decision.fresh_address = fresh;
    return decision;
}

// RFC 2131 4.3.2: which state the client is in shows in three fields.
Decision Responder::request(const Exchange& exchange) {
    const auto server = exchange.request.options.address(Option::server_identifier);
    const auto wanted = exchange.request.options.address(Option::requested_address);
    const Ipv4Address held = exchange.request.header.ciaddr;
    if (server && *server != setup_.server.address) {
        leases_.withdraw(exchange.mac());
        return silence("chose_other_server");
    }
    if (server) return selecting(exchange, wanted.value_or(held));
    if (!held.is_unspecified()) return renewing(exchange, held);
    if (wanted) return init_reboot(exchange, *wanted);
    return silence("request_without_address");
}

Decision Responder::selecting(const Exchange& exchange, Ipv4Address wanted) {
    return may_have(exchange, wanted) ? acknowledge(exchange, wanted) : refuse(exchange, "nak_selecting");
}

Decision Responder::init_reboot(const Exchange& exchange, Ipv4Address wanted) {
    if (may_have(exchange, wanted)) return acknowledge(exchange, wanted);
    // RFC 2131 4.3.2: of a client we know nothing of we say nothing, for another server may know; an address wrong for this network is
    // always refused.
    const bool wrong_network = !exchange.subnet.network.contains(wanted);
    if (wrong_network || (setup_.dhcp.authoritative && exchange.client != nullptr) || leases_.of(exchange.mac()) != nullptr)
        return refuse(exchange, "nak_init_reboot");
    return silence("unknown_lease");
}

// RENEWING came by unicast, REBINDING by broadcast; the answer is the same.
Decision Responder::renewing(const Exchange& exchange, Ipv4Address held) {
    if (may_have(exchange, held) || may_keep(exchange, held)) return acknowledge(exchange, held);
    return setup_.dhcp.authoritative ? refuse(exchange, "nak_renewing") : silence("unknown_lease");
}

// The lease is stored for an eighth longer than is promised. So a machine that asks again soon (ROM, iPXE, initramfs in one boot) is
// promised nothing that is not on disk already, and costs no commit.
Decision Responder::acknowledge(const Exchange& exchange, Ipv4Address address) {
    Decision decision = reply(exchange, MessageType::ack, "acked", address, true);
    const auto promised = exchange.subnet.lease_time;
    if (leases_.is_on_disk(address, exchange.mac(), exchange.now + promised)) return decision;
    const wire::Options& said = exchange.request.options;
    decision.store = Lease{.address = address,
                           .mac = exchange.mac(),
                           .client_id = kept(said.text(Option::client_identifier)),
                           .host_name = kept(said.text(Option::host_name)),
                           .state = LeaseState::bound,
                           .starts = exchange.now,
                           .expires = exchange.now + promised + promised / 8};
    leases_.bind(*decision.store);
    return decision;
}

// --- the messages without an answer, or without a lease --------------------------------------------------------------------------------

Decision Responder::release(const Exchange& exchange) {
    const auto server = exchange.request.options.address(Option::server_identifier);
    if (server && *server != setup_.server.address) return silence("chose_other_server");
    return release(exchange.request.header.ciaddr, exchange);
}

Decision Responder::release(Ipv4Address address, const Exchange& exchange) {
    Decision decision = silence("release_of_nothing");
    decision.client = exchange.client;
    decision.address = address;
    decision.store = leases_.release(address, exchange.mac(), exchange.now);
    if (decision.store) decision.reason = "released";
    return decision;
}

Decision Responder::decline(const Exchange& exchange) {
    const auto server = exchange.request.options.address(Option::server_identifier);
    if (server && *server != setup_.server.address) return silence("chose_other_server");
    Decision decision = silence("decline_of_nothing");
    const auto address = exchange.request.options.address(Option::requested_address);
    if (!address) return decision;
    if (leases_.declined(exchange.subnet_index) >= most_declined(leases_.pool_size(exchange.subnet_index))) {
        // The address goes back to the pool, whose probe asks before it is offered again.
        decision = release(*address, exchange);
        if (decision.store) decision.reason = "declined_too_often";
        return decision;
    }
    decision.client = exchange.client;
    decision.address = *address;
    decision.store = leases_.decline(*address, exchange.mac(), exchange.now + quarantine_time);
    if (decision.store) decision.reason = "declined";
    return decision;
}

Decision Responder::inform(const Exchange& exchange) const {
    const Ipv4Address held = exchange.request.header.ciaddr;
    if (held.is_unspecified()) return silence("inform_without_address");
    Decision decision = reply(exchange, MessageType::ack, "informed", held, false);
    decision.reply.header.yiaddr = {};
    return decision;
}

// RFC 1534: BOOTP clients cannot renew, so only reservations are for them.
Decision Responder::bootp(const Exchange& exchange) const {
    const auto reserved = reservation(exchange);
    if (!reserved) return silence("bootp_without_reservation");
    return reply(exchange, MessageType::bootp, "bootp", *reserved, false);
}

Decision Responder::reply(const Exchange& exchange, MessageType type, std::string_view reason, Ipv4Address address, bool with_lease) const {
    return {.action = Decision::Action::reply,
            .reason = reason,
            .reply_type = type,
            .reply = make_reply(exchange, setup_.server, type, address, with_lease),
            .client = exchange.client,
            .firmware = exchange.firmware,
            .address = address};
}

Decision Responder::refuse(const Exchange& exchange, std::string_view reason) const {
    return {.action = Decision::Action::reply,
            .reason = reason,
            .reply_type = MessageType::nak,
            .reply = make_nak(exchange, setup_.server),
            .client = exchange.client,
            .firmware = exchange.firmware};
}

}  // namespace diskless::dhcp
