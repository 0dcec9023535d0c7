#include "services/dhcp/proxy_service.hpp"

#include <fmt/format.h>

#include "common/log.hpp"
#include "common/task_group.hpp"
#include "services/dhcp/delivery.hpp"
#include "services/dhcp/offer_watch.hpp"
#include "services/dhcp/proxy.hpp"
#include "services/dhcp/reminders.hpp"
#include "services/dhcp/reply.hpp"
#include "services/dhcp/request_view.hpp"
#include "services/dhcp/transport.hpp"

namespace diskless::dhcp {
namespace {

using wire::Option;

constexpr std::uint16_t boot_server_port = 4011;  // PXE 2.1 2.2.4

}  // namespace

class ProxyService::Worker {
 public:
    Worker(const config::Dhcp& dhcp, config::UnknownClients unknown_clients, Deps deps)
        : deps_{std::move(deps)},
          strand_{deps_.lanes.next()},
          responder_{deps_.server, std::move(unknown_clients)},
          dhcp_{strand_, {.interface = deps_.interface, .address = deps_.server.address, .port = dhcp.port}},
          boot_server_{strand_,
                       {.interface = deps_.interface, .address = deps_.server.address, .port = boot_server_port, .answers_sender = true}},
          children_{strand_, "proxy dhcp"},
          received_{deps_.counters.counter("diskless_dhcp_proxy_requests_total")},
          replied_{deps_.counters.counter("diskless_dhcp_proxy_replies_total")},
          dropped_{deps_.counters.counter("diskless_dhcp_dropped_total")},
          unsent_{deps_.counters.counter("diskless_dhcp_unsent_total")} {}

    void bind() {
        dhcp_.bind();
        boot_server_.bind();
    }

    [[nodiscard]] asio::any_io_executor executor() const { return strand_; }

    asio::awaitable<void> serve() {
        children_.spawn(strand_, [this] { return serve_port(boot_server_, &ProxyResponder::on_boot_server_port); });
        co_await serve_port(dhcp_, &ProxyResponder::on_dhcp_port);
        children_.cancel();
        co_await children_.join();
    }

 private:
    using Responding = Decision (ProxyResponder::*)(const wire::Request&, const boot::Catalog&) const;

    asio::awaitable<void> serve_port(Transport& transport, Responding respond) {
        while (true) {
            const auto burst = co_await transport.receive();
            if (burst.empty()) co_return;
            const auto catalog = deps_.catalog.get();
            for (const Transport::Datagram& datagram : burst) handle(transport, datagram, respond, *catalog);
        }
    }

    void handle(Transport& transport, const Transport::Datagram& datagram, Responding respond, const boot::Catalog& catalog) {
        const auto request = wire::decode(datagram.bytes);
        if (!request) {
            dropped_.add();
            log::trace("dhcp.dropped", "reason={}", request.error().reason);
            return;
        }
        received_.add();
        const Decision decision = (responder_.*respond)(*request, catalog);
        log::trace("dhcp.request", "type={} mac={} xid={:08x} decision={}", wire::name_of(request->type), request->header.chaddr,
                   request->header.xid, decision.reason);
        tell(*request, decision);
        if (decision.action != Decision::Action::reply) return;
        if (!wire::encode(decision.reply, reply_limit(*request), message_)) {
            dropped_.add();
            return;
        }
        if (!transport.send(message_, delivery_of(decision.reply.header, decision.reply_type, transport.can_send_raw()), datagram.from)) {
            unsent_.add();
            return;
        }
        replied_.add();
    }

    void tell(const wire::Request& request, const Decision& decision) {
        const MacAddress& mac = request.header.chaddr;
        const auto now = std::chrono::steady_clock::now();
        if (decision.action == Decision::Action::enroll) deps_.enroller.enroll(mac);
        if (decision.reason == "unknown_client" && strangers_told_.due(mac, now))
            log::info("dhcp.ignored",
                      "mac={0} because=\"nobody declared it\" remedy=\"add [[client]] name = … mac = '{0}', or see [unknown_clients]\"",
                      mac);
        if (decision.reason == "asks_other_server") takes_address(request, decision);
        if (decision.reason == "proxy_offered") offered(request, decision, now);
        if (decision.reason == "proxy_acked") deps_.addresses.bind(decision.address, mac);
    }

    void offered(const wire::Request& request, const Decision& decision, OfferWatch::Time now) {
        const MacAddress& mac = request.header.chaddr;
        const std::string file = decision.reply.file.empty() ? std::string{"its disk"} : decision.reply.file;
        switch (offers_.offered(mac, request.header.xid, now)) {
            case OfferWatch::Verdict::first: {
                const std::string who = describe(decision.firmware, request.options.text(Option::vendor_class));
                log::info("dhcp.proxy_offered", "mac={} client={} boots={} to=\"{}\"", mac, name_of(decision), file, who);
                deps_.observer.observe({.step = boot::Step::dhcp,
                                        .mac = mac,
                                        .client = decision.client == nullptr ? std::string{} : decision.client->name,
                                        .detail = fmt::format("{} offered to {}", file, who),
                                        .at = std::chrono::system_clock::now(),
                                        .uefi_asks = boot::is_uefi_itself(decision.firmware)});
                break;
            }
            case OfferWatch::Verdict::again: break;
            case OfferWatch::Verdict::ignored:
                log::warn("dhcp.offers_ignored",
                          "mac={} client={} discovers={} because=\"it asks again and again and takes no offer: the other DHCP server does "
                          "not answer it, or its firmware cannot put two offers together\" remedy=\"give it an address there; or let that "
                          "server say next-server {} and boot file {} itself\"",
                          mac, name_of(decision), OfferWatch::patience, deps_.server.address, file);
        }
    }

    /// Who takes an address from the other server says so to everybody on the link.
    void takes_address(const wire::Request& request, const Decision& decision) {
        const MacAddress& mac = request.header.chaddr;
        offers_.taken(mac);
        if (decision.client == nullptr || decision.address.is_unspecified()) return;
        deps_.addresses.bind(decision.address, mac);
        if (decision.firmware.stage != boot::Stage::system && decision.firmware.stage != boot::Stage::plain) return;
        deps_.observer.observe({.step = boot::Step::system_dhcp,
                                .mac = mac,
                                .client = decision.client->name,
                                .detail = fmt::format("{} asked of another server", decision.address),
                                .at = std::chrono::system_clock::now()});
    }

    static std::string_view name_of(const Decision& decision) noexcept {
        return decision.client == nullptr ? std::string_view{"-"} : decision.client->name;
    }

    Deps deps_;
    asio::any_io_executor strand_;
    ProxyResponder responder_;
    Transport dhcp_, boot_server_;
    TaskGroup children_;
    std::vector<std::byte> message_;
    Reminders strangers_told_;
    OfferWatch offers_;
    Counter &received_, &replied_, &dropped_, &unsent_;
};

ProxyService::ProxyService(const config::Dhcp& dhcp, config::UnknownClients unknown_clients, Deps deps)
    : worker_{std::make_unique<Worker>(dhcp, std::move(unknown_clients), std::move(deps))} {}

ProxyService::~ProxyService() = default;
void ProxyService::bind() { worker_->bind(); }
asio::any_io_executor ProxyService::executor() const { return worker_->executor(); }
asio::awaitable<void> ProxyService::run() { return worker_->serve(); }

}  // namespace diskless::dhcp
