#include "services/dhcp/service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/use_future.hpp>

#include "common/log.hpp"
#include "common/task_group.hpp"
#include "common/text.hpp"
#include "services/dhcp/delivery.hpp"
#include "services/dhcp/neighbour_probe.hpp"
#include "services/dhcp/offer_watch.hpp"
#include "services/dhcp/reminders.hpp"
#include "services/dhcp/request_view.hpp"
#include "services/dhcp/responder.hpp"
#include "services/dhcp/router_advertiser.hpp"
#include "services/dhcp/transport.hpp"

namespace diskless::dhcp {
namespace {

using wire::MessageType;
using wire::Option;

/// Bursts whose leases are being committed; beyond it requests wait in the socket.
constexpr std::size_t max_commits = 64;

Seconds now_seconds() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

}  // namespace

class DhcpService::Worker : public std::enable_shared_from_this<Worker> {
 public:
    Worker(config::Dhcp dhcp, const config::UnknownClients& unknown, Deps deps, const std::vector<boot::Lease>& known)
        : dhcp_{std::move(dhcp)},
          deps_{std::move(deps)},
          strand_{deps_.lanes.next()},
          responder_{{.dhcp = dhcp_, .unknown_clients = unknown, .server = deps_.server}},
          transport_{strand_, {.interface = deps_.interface, .address = deps_.server.address, .port = dhcp_.port}},
          probe_{strand_, deps_.interface},
          advertiser_{strand_, deps_.interface, deps_.counters},
          children_{strand_, "dhcp"},
          committed_{strand_, asio::steady_timer::time_point::max()},
          dropped_{deps_.counters.counter("diskless_dhcp_dropped_total")},
          unsent_{deps_.counters.counter("diskless_dhcp_unsent_total")} {
        responder_.leases().load(known);
        if (deps_.in_use) responder_.set_in_use(deps_.in_use);
        for (const boot::Lease& lease : known) {
            if (lease.state == LeaseState::bound && lease.expires > now_seconds()) deps_.addresses.bind(lease.address, lease.mac);
        }
    }

    void bind() {
        transport_.bind();
        if (deps_.interface.empty()) return;
        if (dhcp_.conflict_probe) probe_.bind();
        advertises_ = dhcp_.router_advertisement && advertiser_.bind();
    }

    [[nodiscard]] std::uint16_t port() const { return transport_.port(); }

    [[nodiscard]] asio::any_io_executor executor() const { return strand_; }

    [[nodiscard]] std::vector<boot::Lease> leases() {
        std::vector<boot::Lease> all = responder_.leases().all();
        std::ranges::sort(all, {}, [](const boot::Lease& lease) { return lease.address.value; });
        return all;
    }

    boot::OrRefusal<boot::Lease> release(Ipv4Address address) {
        LeaseTable& table = responder_.leases();
        const boot::Lease* lease = table.find(address);
        const bool declined = lease != nullptr && lease->state == LeaseState::declined;
        const auto now = now_seconds();
        std::optional<boot::Lease> released;
        if (declined) {
            released = table.quarantine(address, now);
        } else if (lease != nullptr) {
            released = table.release(address, lease->mac, now);
        }
        if (!released)
            return std::unexpected{
                boot::Refusal{boot::Refusal::Kind::not_found, fmt::format("nobody has a lease of {}; diskless lease list", address)}};
        log::info("lease.released", "mac={} ip={} by=\"an administrator\"", released->mac, address);
        deps_.addresses.release(address);
        store({*released}, {});
        return *released;
    }

    asio::awaitable<void> serve() {
        if (!deps_.interface.empty() && dhcp_.conflict_probe) children_.spawn(strand_, [this] { return probe_.run(); });
        if (advertises_) children_.spawn(strand_, [this] { return advertiser_.run(); });
        while (true) {
            const auto burst = co_await transport_.receive();
            if (burst.empty()) break;
            handle(burst);
            if (commits_ >= max_commits && !co_await a_commit_less()) break;
        }
        children_.cancel();
        // What the store has been given completes, and its callbacks come back to this strand.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await children_.join();
        while (commits_ != 0) co_await committed_.async_wait(nothrow_await);
    }

 private:
    /// A reply that may leave once its lease is on disk.
    struct Pending {
        std::vector<std::byte> message;
        Delivery delivery;
        sockaddr_in from{};
        MessageType type = MessageType::bootp;
        std::string_view reason;
        MacAddress mac;
        Ipv4Address address;
        Seconds stored_until{};
        boot::Firmware firmware;
        std::string client;  // empty: nobody declared it
        std::string who;     // for people; of ACKs only
    };

    /// False: the service was asked to stop meanwhile.
    asio::awaitable<bool> a_commit_less() {
        while (commits_ >= max_commits) {
            (void)co_await committed_.async_wait(nothrow_await);
            if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return false;
        }
        co_return true;
    }

    void handle(const std::vector<Transport::Datagram>& burst) {
        const auto catalog = deps_.catalog.get();
        const Seconds now = now_seconds();
        std::vector<boot::Lease> leases;
        std::vector<Pending> waiting;
        for (const Transport::Datagram& datagram : burst) {
            const auto request = wire::decode(datagram.bytes);
            if (!request) {
                drop(request.error().reason);
                continue;
            }
            count(request->type);
            Decision decision = responder_.respond(*request, *catalog, now);
            log::trace("dhcp.request", "type={} mac={} xid={:08x} decision={}", wire::name_of(request->type), request->header.chaddr,
                       request->header.xid, decision.reason);
            tell(*request, decision);
            const bool must_store = decision.store.has_value();
            if (must_store) leases.push_back(*decision.store);
            if (decision.action != Decision::Action::reply) continue;
            Pending pending;
            if (!prepare(*request, decision, datagram.from, pending)) continue;
            if (must_store) {
                waiting.push_back(std::move(pending));
            } else if (decision.fresh_address && probes(*request)) {
                offer_after_probe(std::move(pending));
            } else {
                send(pending);
            }
        }
        if (!leases.empty()) store(std::move(leases), std::move(waiting));
    }

    bool prepare(const wire::Request& request, const Decision& decision, const sockaddr_in& from, Pending& pending) {
        if (!wire::encode(decision.reply, reply_limit(request), pending.message)) {
            drop("reply_too_long");
            return false;
        }
        pending.delivery = delivery_of(decision.reply.header, decision.reply_type, transport_.can_send_raw());
        pending.from = from;
        pending.type = decision.reply_type;
        pending.reason = decision.reason;
        pending.mac = request.header.chaddr;
        pending.address = decision.address;
        if (decision.store) pending.stored_until = decision.store->expires;
        pending.firmware = decision.firmware;
        if (decision.client != nullptr) pending.client = decision.client->name;
        if (decision.reply_type == MessageType::ack) pending.who = describe(decision.firmware, request.options.text(Option::vendor_class));
        return true;
    }

    /// Only on our own link can we ask by ARP.
    [[nodiscard]] bool probes(const wire::Request& request) const noexcept {
        return dhcp_.conflict_probe && !deps_.interface.empty() && request.header.giaddr.is_unspecified();
    }

    void offer_after_probe(Pending pending) {
        const Ipv4Address address = pending.address;
        const MacAddress mac = pending.mac;
        probe_.ask(address, mac, [this, pending = std::move(pending)](bool taken) {
            if (!taken) return send(pending);
            log::warn("lease.conflict", "ip={} mac={} effect=\"somebody else answers there; the address is left alone for {} s\"",
                      pending.address, pending.mac, Responder::quarantine_time.count());
            store({responder_.leases().quarantine(pending.address, now_seconds() + Responder::quarantine_time)}, {});
        });
    }

    void store(std::vector<boot::Lease> leases, std::vector<Pending> waiting) {
        ++commits_;
        deps_.leases.save(std::move(leases), [self = shared_from_this(), waiting = std::move(waiting)](bool durable) mutable {
            asio::post(self->strand_, [self, waiting = std::move(waiting), durable] {
                --self->commits_;
                self->committed_.cancel();
                if (!durable) return self->refused_by_store(waiting.size());
                self->store_failing_ = false;
                for (const Pending& pending : waiting) {
                    self->responder_.leases().committed(pending.address, pending.mac, pending.stored_until);
                    self->send(pending);
                }
            });
        });
    }

    /// No ACK without a lease on disk. Said once, until it works again.
    void refused_by_store(std::size_t count) {
        unsent_.add(count);
        if (std::exchange(store_failing_, true)) return;
        log::error("lease.not_stored", "replies={} effect=\"clients get no address until the database can be written\"", count);
    }

    void send(const Pending& pending) {
        const bool acked = pending.type == MessageType::ack && pending.reason == "acked";
        // Before the ACK leaves: the client's next packet may be here before we are back from sending.
        if (acked) deps_.addresses.bind(pending.address, pending.mac);
        if (!transport_.send(pending.message, pending.delivery, pending.from)) {
            unsent_.add();
            return;
        }
        if (pending.type == MessageType::offer)
            log::debug("lease.offered", "mac={} ip={} client={}", pending.mac, pending.address, name_of(pending));
        if (pending.type == MessageType::nak && naks_told_.due(pending.mac, std::chrono::steady_clock::now()))
            log::info("lease.nak", "mac={} client={} reason={}", pending.mac, name_of(pending), pending.reason);
        if (!acked) return;
        log::info("lease.acked", "mac={} ip={} client={} to=\"{}\"", pending.mac, pending.address, name_of(pending), pending.who);
        observe(pending);
    }

    static std::string_view name_of(const Pending& pending) noexcept {
        return pending.client.empty() ? std::string_view{"-"} : pending.client;
    }

    void observe(const Pending& pending) {
        const boot::Stage stage = pending.firmware.stage;
        const bool system = stage == boot::Stage::system || stage == boot::Stage::plain;
        deps_.observer.observe({.step = system ? boot::Step::system_dhcp : boot::Step::dhcp,
                                .mac = pending.mac,
                                .client = pending.client,
                                .detail = fmt::format("{} to {}", pending.address, pending.who),
                                .at = std::chrono::system_clock::now(),
                                .uefi_asks = boot::is_uefi_itself(pending.firmware)});
    }

    /// What a decision has for people and for others of the house, besides its reply.
    void tell(const wire::Request& request, const Decision& decision) {
        const MacAddress& mac = request.header.chaddr;
        const auto now = std::chrono::steady_clock::now();
        if (decision.action == Decision::Action::enroll) deps_.enroller.enroll(mac);
        if (decision.reason == "unknown_client" && request.type != MessageType::release && strangers_told_.due(mac, now))
            log::info("dhcp.ignored",
                      "mac={0} because=\"nobody declared it\" remedy=\"add [[client]] name = … mac = '{0}', or see [unknown_clients]\"",
                      mac);
        if (request.type == MessageType::request) offers_.taken(mac);
        if (decision.reason == "offered") watch_offer(request, decision, now);
        if (decision.reason == "chose_other_server") tell_of_other_server(request, now);
        if (decision.reason == "pool_exhausted" && pool_told_.due({}, now))
            log::warn("lease.pool_exhausted", "mac={} remedy=\"enlarge the pool of its [[dhcp.subnet]]\"", mac);
        if (decision.reason == "no_subnet" && subnet_told_.due({}, now))
            log::warn("dhcp.no_subnet", "mac={} relay={} remedy=\"declare a [[dhcp.subnet]] for that network\"", mac,
                      request.header.giaddr);
        if (decision.reason == "released") {
            log::info("lease.released", "mac={} ip={}", mac, decision.address);
            deps_.addresses.release(decision.address);
        }
        if (decision.reason == "declined") {
            log::warn("lease.declined", "mac={} ip={} effect=\"somebody else uses the address; it is left alone for {} s\"", mac,
                      decision.address, Responder::quarantine_time.count());
            deps_.addresses.release(decision.address);
        }
        if (decision.reason == "declined_too_often") {
            log::warn("lease.declined",
                      "mac={} ip={} effect=\"so many of the pool are declined that its word is not taken; the address is free\"", mac,
                      decision.address);
            deps_.addresses.release(decision.address);
        }
    }

    void watch_offer(const wire::Request& request, const Decision& decision, OfferWatch::Time now) {
        if (offers_.offered(request.header.chaddr, request.header.xid, now) != OfferWatch::Verdict::ignored) return;
        log::warn(
            "dhcp.offers_ignored",
            "mac={} client={} discovers={} because=\"it asks again and again and takes no offer: often another DHCP server answers as "
            "well, and the firmware gives up\" remedy=\"stop the other server, or let it say next-server {} and boot file {} itself\"",
            request.header.chaddr, decision.client == nullptr ? std::string_view{"-"} : decision.client->name, OfferWatch::patience,
            deps_.server.address, decision.reply.file.empty() ? "as above" : decision.reply.file);
    }

    /// Reminders go by MAC; a server is remembered by its address in the place of one.
    void tell_of_other_server(const wire::Request& request, Reminders::Time now) {
        const auto server = request.options.address(Option::server_identifier);
        if (!server) return;
        MacAddress key;
        store_be(MutableByteSpan{key.octets}, 0, server->value);
        if (!others_told_.due(key, now)) return;
        log::warn("dhcp.other_server",
                  "ip={} mac={} effect=\"machines take addresses from it, and may not boot from here\" remedy=\"stop "
                  "it, or set [dhcp] mode = 'proxy' here\"",
                  *server, request.header.chaddr);
    }

    void count(MessageType type) {
        Counter*& counter = received_[static_cast<std::size_t>(type)];
        if (counter == nullptr)
            counter = &deps_.counters.counter("diskless_dhcp_messages_total", fmt::format(R"(type="{}")", wire::name_of(type)));
        counter->add();
    }

    void drop(std::string_view reason) {
        dropped_.add();
        log::trace("dhcp.dropped", "reason={}", reason);
    }

    config::Dhcp dhcp_;
    Deps deps_;
    asio::any_io_executor strand_;
    Responder responder_;
    Transport transport_;
    NeighbourProbe probe_;
    RouterAdvertiser advertiser_;
    bool advertises_ = false;
    TaskGroup children_;
    std::size_t commits_ = 0;
    asio::steady_timer committed_;  // cancelled at every commit
    bool store_failing_ = false;
    Reminders strangers_told_, naks_told_, pool_told_, subnet_told_, others_told_;
    OfferWatch offers_;
    std::array<Counter*, 9> received_{};
    Counter& dropped_;
    Counter& unsent_;
};

DhcpService::DhcpService(config::Dhcp dhcp, config::UnknownClients unknown, Deps deps, const std::vector<boot::Lease>& known)
    : worker_{std::make_shared<Worker>(std::move(dhcp), unknown, std::move(deps), known)} {}

DhcpService::~DhcpService() = default;
void DhcpService::bind() { worker_->bind(); }
asio::any_io_executor DhcpService::executor() const { return worker_->executor(); }
asio::awaitable<void> DhcpService::run() { return worker_->serve(); }

std::vector<boot::Lease> DhcpService::leases() {
    return asio::post(worker_->executor(), asio::use_future([this] { return worker_->leases(); })).get();
}

boot::OrRefusal<boot::Lease> DhcpService::release(Ipv4Address address) {
    return asio::post(worker_->executor(), asio::use_future([this, address] { return worker_->release(address); })).get();
}

std::uint16_t DhcpService::port() const { return worker_->port(); }

}  // namespace diskless::dhcp
