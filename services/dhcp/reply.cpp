#include "services/dhcp/reply.hpp"

#include <algorithm>
#include <bitset>

namespace diskless::dhcp {
namespace {

using wire::MessageType;
using wire::Option;

/// RFC 6842: the client's identifier comes back as it was.
void echo(const wire::Options& asked, Option code, wire::OptionWriter& options) noexcept {
    if (const ByteSpan value = asked.get(code); !value.empty()) options.put(code, value);
}

void put_lease_time(const config::Subnet& subnet, wire::OptionWriter& options) noexcept {
    const auto seconds = static_cast<std::uint32_t>(subnet.lease_time.count());
    options.u32(Option::lease_time, seconds);
    options.u32(Option::renewal_time, seconds / 2);
    options.u32(Option::rebinding_time, seconds / 8 * 7);
}

/// What the administrator wrote for this client, then for its subnet; and which options that were, asked for or not.
std::bitset<256> put_written(const Exchange& exchange, wire::OptionWriter& options) {
    std::bitset<256> written;
    const auto put = [&](const std::vector<boot::DhcpOption>& list) {
        for (const auto& [code, value] : list) {
            const bool is_first = !written[code];
            written.set(code);
            if (is_first && exchange.asked_for(static_cast<Option>(code))) options.put(static_cast<Option>(code), as_bytes(value));
        }
    };
    if (exchange.client != nullptr) put(exchange.client->dhcp_options);
    put(exchange.subnet.options);
    return written;
}

void put_network(const Exchange& exchange, const boot::BootServer& server, bool loads_a_file, wire::OptionWriter& options) {
    const config::Subnet& subnet = exchange.subnet;
    const auto written = put_written(exchange, options);
    const auto wants = [&](Option code) { return exchange.asked_for(code) && !written[static_cast<std::size_t>(code)]; };
    if (subnet.router && wants(Option::router)) options.address(Option::router, *subnet.router);
    if (!subnet.dns.empty() && wants(Option::domain_name_server)) {
        std::vector<std::byte> addresses(subnet.dns.size() * 4);
        for (std::size_t i = 0; i < subnet.dns.size(); ++i) store_be(addresses, i * 4, subnet.dns[i].value);
        options.put(Option::domain_name_server, addresses);
    }
    if (loads_a_file) options.text(Option::tftp_server_name, server.address.text());  // siaddr says the same to those who read it
    if (exchange.client != nullptr && wants(Option::host_name)) options.text(Option::host_name, exchange.client->name);
    if (!subnet.domain.empty() && wants(Option::domain_name)) options.text(Option::domain_name, subnet.domain);
    if (exchange.asked_for(Option::broadcast_address)) options.address(Option::broadcast_address, subnet.network.broadcast());
}

void put_boot(const wire::Options& asked, const boot::BootServer& server, const boot::BootPlan& plan, wire::Reply& reply) {
    wire::OptionWriter& options = reply.options;
    reply.header.siaddr = server.address;
    if (!plan.vendor_class.empty()) {
        options.text(Option::vendor_class, plan.vendor_class);
        echo(asked, Option::client_machine_identifier, options);  // RFC 4578 2.3: a PXE client looks for its own
    }
    if (plan.vendor_class == "PXEClient") {
        // PXE 2.1, PXE_DISCOVERY_CONTROL = 8: no boot server discovery, use the boot file of this packet.
        constexpr std::array discovery_control{std::byte{6}, std::byte{1}, std::byte{8}, std::byte{255}};
        options.put(Option::vendor_specific, discovery_control);
    }
    if (!plan.boot_file.empty()) {
        reply.file = plan.boot_file;
        // Deviation: old ROMs read on behind option 67 to the next NUL, so there is one.
        options.text(Option::bootfile_name, plan.boot_file + '\0');
    }
    if (!plan.root_path.empty()) options.text(Option::root_path, plan.root_path);
    if (!plan.initiator.empty()) options.text(Option::initiator_iqn, plan.initiator);
}

}  // namespace

bool Exchange::asked_for(wire::Option code) const noexcept {
    const std::string_view list = request.options.text(Option::parameter_request_list);
    return list.empty() || list.contains(static_cast<char>(code));
}

wire::Reply make_reply(const Exchange& exchange, const boot::BootServer& server, MessageType type, Ipv4Address address, bool with_lease) {
    wire::Reply reply;
    const wire::Header& h = exchange.request.header;
    reply.header = {.op = 2, .xid = h.xid, .flags = h.flags, .ciaddr = h.ciaddr, .yiaddr = address, .giaddr = h.giaddr, .chaddr = h.chaddr};
    if (type == MessageType::offer) reply.header.ciaddr = {};  // RFC 2131 table 3
    wire::OptionWriter& options = reply.options;
    if (type != MessageType::bootp) {
        options.u8(Option::message_type, static_cast<std::uint8_t>(type));
        options.address(Option::server_identifier, server.address);
    }
    if (with_lease) put_lease_time(exchange.subnet, options);
    options.u32(Option::subnet_mask, exchange.subnet.network.mask());
    const wire::Options& asked = exchange.request.options;
    echo(asked, Option::client_identifier, options);
    reply.relay_agent_information = asked.get(Option::relay_agent_information);
    if (type == MessageType::bootp) options.optional_from_here();  // its packet has 60 bytes for options
    const boot::BootPlan plan = boot::plan_boot(exchange.client, exchange.firmware, server);
    if (plan.boots) put_boot(asked, server, plan, reply);
    if (plan.boots && exchange.firmware.stage == boot::Stage::ipxe) {
        constexpr std::array no_proxy_dhcp{std::byte{0xb0}, std::byte{1}, std::byte{1}};  // or iPXE waits for a proxy's offer as well
        options.put(Option::ipxe, no_proxy_dhcp);
    }
    if (type != MessageType::bootp) options.optional_from_here();
    put_network(exchange, server, plan.boots && !plan.boot_file.empty(), options);
    return reply;
}

wire::Reply make_proxy_reply(const wire::Request& request, const boot::BootServer& server, MessageType type, boot::BootPlan plan) {
    wire::Reply reply;
    const wire::Header& h = request.header;
    reply.header = {.op = 2, .xid = h.xid, .flags = h.flags, .giaddr = h.giaddr, .chaddr = h.chaddr};
    if (type == MessageType::ack) reply.header.ciaddr = h.ciaddr;
    wire::OptionWriter& options = reply.options;
    options.u8(Option::message_type, static_cast<std::uint8_t>(type));
    options.address(Option::server_identifier, server.address);
    echo(request.options, Option::client_identifier, options);
    reply.relay_agent_information = request.options.get(Option::relay_agent_information);
    // PXE 2.1 2.2.3: the class is what tells a proxy's offer from one with an address. iPXE looks for it as well.
    if (plan.vendor_class.empty()) plan.vendor_class = "PXEClient";
    put_boot(request.options, server, plan, reply);
    return reply;
}

std::size_t reply_limit(const wire::Request& request) noexcept {
    constexpr std::size_t ip_and_udp_bytes = 28;
    constexpr std::size_t default_message_bytes = 576;  // RFC 2131 2: what every client must take
    constexpr std::size_t max_reply_bytes = 1500;
    if (request.type == MessageType::bootp) return wire::min_message_bytes;
    const std::size_t said = request.options.u16(Option::max_message_size).value_or(default_message_bytes);
    return std::clamp(said, default_message_bytes, max_reply_bytes) - ip_and_udp_bytes;
}

wire::Reply make_nak(const Exchange& exchange, const boot::BootServer& server) {
    wire::Reply reply;
    const wire::Header& h = exchange.request.header;
    reply.header = {.op = 2, .xid = h.xid, .flags = h.flags, .giaddr = h.giaddr, .chaddr = h.chaddr};
    // RFC 2131 4.3.2: through a relay a NAK must be broadcast on the client's network.
    if (!h.giaddr.is_unspecified()) reply.header.flags |= wire::Header::broadcast_flag;
    reply.options.u8(Option::message_type, static_cast<std::uint8_t>(MessageType::nak));
    reply.options.address(Option::server_identifier, server.address);
    echo(exchange.request.options, Option::client_identifier, reply.options);
    reply.relay_agent_information = exchange.request.options.get(Option::relay_agent_information);
    reply.options.optional_from_here();
    reply.options.text(Option::message, "this address is not yours on this network");
    return reply;
}

}  // namespace diskless::dhcp
