#include "services/dhcp/responder.hpp"

#include <algorithm>

namespace diskless::dhcp {
namespace {

using wire::MessageType;
using wire::Option;

std::vector<std::vector<Ipv4Range>> pools_of(const config::Dhcp& dhcp) {
    std::vector<std::vector<Ipv4Range>> pools;
    for (const config::Subnet& subnet : dhcp.subnets) pools.push_back(subnet.pool);
    return pools;
}

/// Option 175 is a list of sub-options; the features have no value worth reading, their presence is the message.
bool has_ipxe_feature(ByteSpan features, std::uint8_t wanted) noexcept {
    ByteReader reader{features};
    while (reader.remaining() >= 2) {
        const std::uint8_t code = reader.u8();
        const ByteSpan value = reader.bytes(reader.u8());
        if (!reader.ok()) return false;
        if (code == wanted) return value.empty() || value[0] != std::byte{0};
    }
    return false;
}

boot::FirmwareHints hints_of(const wire::Options& options) noexcept {
    constexpr std::uint8_t ipxe_iscsi = 0x11, ipxe_http = 0x13;
    const ByteSpan ipxe = options.get(Option::ipxe);
    return {.architecture = options.u16(Option::client_system_architecture),
            .vendor_class = options.text(Option::vendor_class),
            .user_class = options.text(Option::user_class),
            .has_ipxe_options = options.has(Option::ipxe),
            .ipxe_http = has_ipxe_feature(ipxe, ipxe_http),
            .ipxe_iscsi = has_ipxe_feature(ipxe, ipxe_iscsi)};
}

/// Option 97: a type byte of 0, then the UUID (RFC 4578 2.3).
std::optional<Uuid> uuid_of(const wire::Options& options) noexcept {
    const ByteSpan value = options.get(Option::client_machine_identifier);
    if (value.size() != 17 || value[0] != std::byte{0}) return std::nullopt;
    return Uuid::from_wire(value.subspan(1));
}

const boot::Client* client_of(const wire::Request& request, const boot::Catalog& catalog) noexcept {
    if (const boot::Client* client = catalog.by_mac(request.header.chaddr)) return client;
    const auto uuid = uuid_of(request.options);
    return uuid ? catalog.by_uuid(*uuid) : nullptr;
}

/// RFC 3046, RFC 3527: the link the client is on, where the relay's own address does not tell.
std::optional<Ipv4Address> link_selection(const wire::Options& options) noexcept {
    constexpr std::uint8_t link_selection_code = 5;
    ByteReader reader{options.get(Option::relay_agent_information)};
    while (reader.remaining() >= 2) {
        const std::uint8_t code = reader.u8();
        const ByteSpan value = reader.bytes(reader.u8());
        if (reader.ok() && code == link_selection_code && value.size() == 4) return Ipv4Address{load_be<std::uint32_t>(value, 0)};
    }
    return std::nullopt;
}

}  // namespace

struct Responder::Exchange {
    const wire::Request& request;
    const boot::Catalog& catalog;
    Seconds now;
    const boot::Client* client;
    boot::Firmware firmware;
    std::size_t subnet_index;
    const config::Subnet& subnet;

    [[nodiscard]] const MacAddress& mac() const noexcept { return request.header.chaddr; }
    [[nodiscard]] bool asked_for(Option code) const noexcept {
        const std::string_view list = request.options.text(Option::parameter_request_list);
        return list.empty() || list.find(static_cast<char>(code)) != std::string_view::npos;
    }
};

Responder::Responder(Setup setup) : setup_{std::move(setup)}, leases_{pools_of(setup_.dhcp), setup_.dhcp.max_leases} {}

Decision Responder::silence(std::string_view reason) const {
    Decision decision;
    decision.reason = reason;
    return decision;
}

Decision Responder::respond(const wire::Request& request, const boot::Catalog& catalog, Seconds now) {
    const boot::Client* client = client_of(request, catalog);
    if (client == nullptr && setup_.unknown_clients.policy == config::UnknownPolicy::ignore) return silence("unknown_client");
    if (client == nullptr && setup_.unknown_clients.policy == config::UnknownPolicy::enroll) {
        Decision decision = silence("enrolled");
        decision.action = Decision::Action::enroll;
        return decision;
    }
    const auto subnet = subnet_of(request);
    if (!subnet) return silence("no_subnet");
    Exchange exchange{request, catalog, now, client, boot::firmware_of(hints_of(request.options)), *subnet, setup_.dhcp.subnets[*subnet]};
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

// RFC 2131 4.3.1: the relay's network, else the one the client says it is on, else ours.
std::optional<std::size_t> Responder::subnet_of(const wire::Request& request) const {
    const wire::Header& h = request.header;
    Ipv4Address on = setup_.server.address;
    if (!h.giaddr.is_unspecified()) {
        on = link_selection(request.options).value_or(h.giaddr);
    } else if (const auto selected = request.options.address(Option::subnet_selection)) {
        on = *selected;
    } else if (!h.ciaddr.is_unspecified()) {
        on = h.ciaddr;
    }
    const auto holds = [on](const config::Subnet& subnet) { return subnet.network.contains(on); };
    const auto found = std::ranges::find_if(setup_.dhcp.subnets, holds);
    if (found == setup_.dhcp.subnets.end()) return std::nullopt;
    return static_cast<std::size_t>(found - setup_.dhcp.subnets.begin());
}

/// The declared address, where it is on the network the client asks from.
std::optional<Ipv4Address> Responder::reservation(const Exchange& exchange) const {
    if (exchange.client == nullptr || !exchange.client->address || !exchange.subnet.network.contains(*exchange.client->address))
        return std::nullopt;
    return exchange.client->address;
}

bool Responder::unavailable(const Exchange& exchange, Ipv4Address address) const {
    return address == setup_.server.address || address == exchange.subnet.router || exchange.catalog.by_address(address) != nullptr;
}

/// Whether the machine may use this address: its reservation, or a pool address that is its own or free.
bool Responder::may_have(const Exchange& exchange, Ipv4Address address) const {
    if (const auto reserved = reservation(exchange)) return address == *reserved;
    const Lease* lease = leases_.of(exchange.mac());
    return lease != nullptr && lease->address == address && lease->state == LeaseState::bound && !unavailable(exchange, address) &&
           leases_.in_pool(exchange.subnet_index, address);
}

// --- INIT, SELECTING -------------------------------------------------------------------------------------------------------------------

Decision Responder::discover(Exchange& exchange) {
    Decision decision;
    const Seconds until = exchange.now + offer_time;
    if (const auto reserved = reservation(exchange)) {
        decision.address = *reserved;
        leases_.hold(*reserved, exchange.mac(), until);
    } else {
        const Lease* before = leases_.of(exchange.mac());
        const bool had_one = before != nullptr;
        const auto wanted = exchange.request.options.address(Option::requested_address);
        const auto blocked = [&](Ipv4Address a) { return unavailable(exchange, a) || (in_use_(a) && !(had_one && before->address == a)); };
        const auto address = leases_.offer(exchange.mac(), exchange.subnet_index, wanted, exchange.now, until, blocked);
        if (!address) return silence("pool_exhausted");
        decision.address = *address;
        decision.fresh_address = !had_one;
    }
    decision.reply_type = MessageType::offer;
    decision.reason = "offered";
    fill_reply(exchange, decision, true);
    return decision;
}

// RFC 2131 4.3.2: which state the client is in shows in three fields.
Decision Responder::request(Exchange& exchange) {
    const auto server = exchange.request.options.address(Option::server_identifier);
    const auto wanted = exchange.request.options.address(Option::requested_address);
    const Ipv4Address held = exchange.request.header.ciaddr;
    if (server && *server != setup_.server.address) {
        leases_.withdraw(exchange.mac());
        return silence("chose_other_server");
    }
    if (server) return selecting(exchange, wanted.value_or(held));
    if (wanted && held.is_unspecified()) return init_reboot(exchange, *wanted);
    if (!held.is_unspecified()) return renewing(exchange, held);
    return silence("request_without_address");
}

Decision Responder::selecting(Exchange& exchange, Ipv4Address wanted) {
    return may_have(exchange, wanted) ? acknowledge(exchange, wanted) : refuse(exchange, "nak_selecting");
}

Decision Responder::init_reboot(Exchange& exchange, Ipv4Address wanted) {
    if (may_have(exchange, wanted)) return acknowledge(exchange, wanted);
    // RFC 2131 4.3.2: of a client we know nothing of we say nothing, for another server may know; an address wrong for this network is
    // always refused.
    const bool wrong_network = !exchange.subnet.network.contains(wanted);
    if (wrong_network || (setup_.dhcp.authoritative && exchange.client != nullptr) || leases_.of(exchange.mac()) != nullptr)
        return refuse(exchange, "nak_init_reboot");
    return silence("unknown_lease");
}

// RENEWING came by unicast, REBINDING by broadcast; the answer is the same.
Decision Responder::renewing(Exchange& exchange, Ipv4Address held) {
    if (may_have(exchange, held)) return acknowledge(exchange, held);
    return setup_.dhcp.authoritative ? refuse(exchange, "nak_renewing") : silence("unknown_lease");
}

// The lease is stored for an eighth longer than is promised. So a machine that asks again soon (ROM, iPXE, initramfs in one boot) is
// promised nothing that is not on disk already, and costs no commit.
Decision Responder::acknowledge(Exchange& exchange, Ipv4Address address) {
    Decision decision;
    decision.address = address;
    decision.reply_type = MessageType::ack;
    decision.reason = "acked";
    const auto promised = exchange.subnet.lease_time;
    const Lease* before = leases_.find(address);
    const std::string_view client_id = exchange.request.options.text(Option::client_identifier);
    const bool on_disk = before != nullptr && before->state == LeaseState::bound && before->mac == exchange.mac() &&
                         before->starts != Seconds{} && before->expires >= exchange.now + promised;
    if (!on_disk) {
        decision.store = Lease{.address = address,
                               .mac = exchange.mac(),
                               .client_id = std::string{client_id},
                               .host_name = std::string{exchange.request.options.text(Option::host_name)},
                               .state = LeaseState::bound,
                               .starts = exchange.now,
                               .expires = exchange.now + promised + promised / 8};
        leases_.bind(*decision.store);
    }
    fill_reply(exchange, decision, true);
    return decision;
}

Decision Responder::refuse(Exchange& exchange, std::string_view reason) const {
    Decision decision;
    decision.action = Decision::Action::reply;
    decision.reply_type = MessageType::nak;
    decision.reason = reason;
    decision.client = exchange.client;
    decision.firmware = exchange.firmware;
    const wire::Header& h = exchange.request.header;
    decision.reply.header = {.op = 2, .xid = h.xid, .flags = h.flags, .giaddr = h.giaddr, .chaddr = h.chaddr};
    // RFC 2131 4.3.2: through a relay a NAK must be broadcast on the client's network.
    if (!h.giaddr.is_unspecified()) decision.reply.header.flags |= wire::Header::broadcast_flag;
    wire::OptionWriter& options = decision.reply.options;
    options.u8(Option::message_type, static_cast<std::uint8_t>(MessageType::nak));
    options.address(Option::server_identifier, setup_.server.address);
    options.text(Option::message, "this address is not yours on this network");
    if (const ByteSpan id = exchange.request.options.get(Option::client_identifier); !id.empty())
        options.put(Option::client_identifier, id);
    decision.reply.relay_agent_information = exchange.request.options.get(Option::relay_agent_information);
    return decision;
}

// --- the messages without an answer, or without a lease --------------------------------------------------------------------------------

Decision Responder::release(Exchange& exchange) {
    Decision decision = silence("release_of_nothing");
    decision.client = exchange.client;
    decision.address = exchange.request.header.ciaddr;
    decision.store = leases_.release(decision.address, exchange.mac(), exchange.now);
    if (decision.store) decision.reason = "released";
    return decision;
}

Decision Responder::decline(Exchange& exchange) {
    Decision decision = silence("decline_of_nothing");
    const auto address = exchange.request.options.address(Option::requested_address);
    if (!address) return decision;
    decision.client = exchange.client;
    decision.address = *address;
    decision.store = leases_.decline(*address, exchange.mac(), exchange.now + quarantine_time);
    if (decision.store) decision.reason = "declined";
    return decision;
}

Decision Responder::inform(Exchange& exchange) {
    if (exchange.request.header.ciaddr.is_unspecified()) return silence("inform_without_address");
    Decision decision;
    decision.reply_type = MessageType::ack;
    decision.reason = "informed";
    decision.address = exchange.request.header.ciaddr;
    fill_reply(exchange, decision, false);
    decision.reply.header.yiaddr = {};
    return decision;
}

// RFC 1534: BOOTP clients cannot renew, so only reservations are for them.
Decision Responder::bootp(Exchange& exchange) {
    const auto reserved = reservation(exchange);
    if (!reserved) return silence("bootp_without_reservation");
    Decision decision;
    decision.reply_type = MessageType::bootp;
    decision.reason = "bootp";
    decision.address = *reserved;
    fill_reply(exchange, decision, false);
    return decision;
}

// --- replies ---------------------------------------------------------------------------------------------------------------------------

void Responder::fill_reply(Exchange& exchange, Decision& decision, bool with_lease) const {
    decision.action = Decision::Action::reply;
    decision.client = exchange.client;
    decision.firmware = exchange.firmware;
    const wire::Header& h = exchange.request.header;
    decision.reply.header = {
        .op = 2, .xid = h.xid, .flags = h.flags, .ciaddr = h.ciaddr, .yiaddr = decision.address, .giaddr = h.giaddr, .chaddr = h.chaddr};
    if (decision.reply_type == MessageType::offer) decision.reply.header.ciaddr = {};  // RFC 2131 table 3
    wire::OptionWriter& options = decision.reply.options;
    if (decision.reply_type != MessageType::bootp) {
        options.u8(Option::message_type, static_cast<std::uint8_t>(decision.reply_type));
        options.address(Option::server_identifier, setup_.server.address);
    }
    if (with_lease) {
        const auto seconds = static_cast<std::uint32_t>(exchange.subnet.lease_time.count());
        options.u32(Option::lease_time, seconds);
        options.u32(Option::renewal_time, seconds / 2);
        options.u32(Option::rebinding_time, seconds / 8 * 7);
    }
    fill_network(exchange, options);
    if (exchange.client != nullptr && exchange.asked_for(Option::host_name)) options.text(Option::host_name, exchange.client->name);
    fill_boot(exchange, decision);
    // RFC 6842: the client's identifier comes back as it was.
    if (const ByteSpan id = exchange.request.options.get(Option::client_identifier); !id.empty())
        options.put(Option::client_identifier, id);
    decision.reply.relay_agent_information = exchange.request.options.get(Option::relay_agent_information);
}

void Responder::fill_network(const Exchange& exchange, wire::OptionWriter& options) const {
    const config::Subnet& subnet = exchange.subnet;
    options.u32(Option::subnet_mask, subnet.network.mask());
    if (subnet.router && exchange.asked_for(Option::router)) options.address(Option::router, *subnet.router);
    if (!subnet.dns.empty() && exchange.asked_for(Option::domain_name_server)) {
        std::vector<std::byte> addresses(subnet.dns.size() * 4);
        for (std::size_t i = 0; i < subnet.dns.size(); ++i) store_be(addresses, i * 4, subnet.dns[i].value);
        options.put(Option::domain_name_server, addresses);
    }
    if (!subnet.domain.empty() && exchange.asked_for(Option::domain_name)) options.text(Option::domain_name, subnet.domain);
    if (exchange.asked_for(Option::broadcast_address)) options.address(Option::broadcast_address, subnet.network.broadcast());
}

void Responder::fill_boot(const Exchange& exchange, Decision& decision) const {
    const boot::BootPlan plan = boot::plan_boot(exchange.client, exchange.firmware, setup_.server);
    if (!plan.boots) return;
    wire::OptionWriter& options = decision.reply.options;
    const wire::Options& asked = exchange.request.options;
    decision.reply.header.siaddr = setup_.server.address;
    if (!plan.vendor_class.empty()) {
        options.text(Option::vendor_class, plan.vendor_class);
        // RFC 4578 2.3: a PXE client finds its own machine identifier in the reply.
        if (asked.has(Option::client_machine_identifier))
            options.put(Option::client_machine_identifier, asked.get(Option::client_machine_identifier));
    }
    if (plan.vendor_class == "PXEClient") {
        // PXE 2.1, PXE_DISCOVERY_CONTROL = 8: no boot server discovery, use the boot file of this packet.
        constexpr std::array discovery_control{std::byte{6}, std::byte{1}, std::byte{8}, std::byte{255}};
        options.put(Option::vendor_specific, discovery_control);
    }
    if (!plan.boot_file.empty()) {
        decision.reply.file = plan.boot_file;
        options.text(Option::tftp_server_name, setup_.server.address.text());
        // Deviation: old ROMs read on behind option 67 to the next NUL, so there is one.
        options.text(Option::bootfile_name, plan.boot_file + '\0');
    }
    if (!plan.root_path.empty()) options.text(Option::root_path, plan.root_path);
    if (exchange.firmware.stage == boot::Stage::ipxe) {
        constexpr std::array no_proxy_dhcp{std::byte{0xb0}, std::byte{1}, std::byte{1}};  // or iPXE waits for a proxy's offer as well
        options.put(Option::ipxe, no_proxy_dhcp);
        if (!plan.initiator.empty()) options.text(Option::initiator_iqn, plan.initiator);
    }
}

}  // namespace diskless::dhcp
