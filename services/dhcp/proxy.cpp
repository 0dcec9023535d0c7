#include "services/dhcp/proxy.hpp"

#include "services/dhcp/reply.hpp"
#include "services/dhcp/request_view.hpp"

namespace diskless::dhcp {

using wire::MessageType;
using wire::Option;

ProxyResponder::ProxyResponder(boot::BootServer server, config::UnknownClients unknown_clients)
    : server_{std::move(server)}, unknown_clients_{std::move(unknown_clients)} {}

Decision ProxyResponder::on_dhcp_port(const wire::Request& request, const boot::Catalog& catalog) const {
    if (request.type == MessageType::discover) return answer(request, catalog, MessageType::offer);
    if (request.type != MessageType::request) return silence("not_for_proxies");
    const Ipv4Address held = request.header.ciaddr;
    Decision decision = silence("asks_other_server");
    decision.client = client_of(request, catalog);
    decision.address = request.options.address(Option::requested_address).value_or(held);
    decision.firmware = boot::firmware_of(hints_of(request.options));
    return decision;
}

Decision ProxyResponder::on_boot_server_port(const wire::Request& request, const boot::Catalog& catalog) const {
    if (request.type != MessageType::request && request.type != MessageType::inform) return silence("not_for_boot_servers");
    const auto server = request.options.address(Option::server_identifier);
    if (server && *server != server_.address) return silence("chose_other_server");
    return answer(request, catalog, MessageType::ack);
}

Decision ProxyResponder::answer(const wire::Request& request, const boot::Catalog& catalog, MessageType type) const {
    const boot::Firmware firmware = boot::firmware_of(hints_of(request.options));
    using enum boot::Stage;
    // Systems and other firmware get all they need from the other server, and would not know what to do with an offer without an address.
    if (firmware.stage != pxe_rom && firmware.stage != http_firmware && firmware.stage != ipxe) return silence("does_not_boot");
    const boot::Client* client = client_of(request, catalog);
    if (client == nullptr && unknown_clients_.policy != config::UnknownPolicy::menu) return stranger(request, unknown_clients_.policy);
    boot::BootPlan plan = boot::plan_boot(client, firmware, server_);
    if (!plan.boots) return silence("nothing_to_boot");
    return {.action = Decision::Action::reply,
            .reason = type == MessageType::offer ? "proxy_offered" : "proxy_acked",
            .reply_type = type,
            .reply = make_proxy_reply(request, server_, type, std::move(plan)),
            .client = client,
            .firmware = firmware,
            .address = request.header.ciaddr};
}

}  // namespace diskless::dhcp
