#include "services/iscsi/service.hpp"

#include <boost/asio/cancellation_state.hpp>

#include <fmt/format.h>

#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/ip_endpoint.hpp"
#include "common/log.hpp"
#include "common/task_group.hpp"
#include "services/iscsi/connection.hpp"
#include "services/iscsi/shared.hpp"

namespace diskless::iscsi {
namespace {

constexpr std::chrono::milliseconds sweep_interval{1000};
/// Out of descriptors: how long accept() rests before it tries again.
constexpr std::chrono::milliseconds accept_rest{100};
constexpr int listen_backlog = 1024;

Limits limits_of(const config::Iscsi& config) {
    Limits limits;
    limits.queue_depth = std::max<std::uint32_t>(1, config.queue_depth);
    return limits;
}

std::string explain(error_code error, const IpAddress& address, std::uint16_t port) {
    if (error == asio::error::address_in_use) {
        return fmt::format("iSCSI port {} on {} is in use by another program; stop it (ss -ltnp shows which) or set another [iscsi] port",
                           port, address);
    }
    if (error == asio::error::access_denied)
        return fmt::format("iSCSI port {} needs privileges; start as root or set an [iscsi] port above 1023", port);
    return fmt::format("cannot listen for iSCSI on {}:{}: {}", address.host(), port, error.message());
}

}  // namespace

Counters::Counters(CounterRegistry& registry)
    : connections{registry.counter("diskless_iscsi_connections")},
      sessions{registry.counter("diskless_iscsi_sessions")},
      accepted{registry.counter("diskless_iscsi_connections_total")},
      logins{registry.counter("diskless_iscsi_logins_total")},
      refused{registry.counter("diskless_iscsi_logins_refused_total")},
      auth_failed{registry.counter("diskless_iscsi_auth_failures_total")},
      auth_blocked{registry.counter("diskless_iscsi_auth_blocked_total")},
      commands{registry.counter("diskless_iscsi_commands_total")},
      read_bytes{registry.counter("diskless_iscsi_read_bytes_total")},
      written_bytes{registry.counter("diskless_iscsi_written_bytes_total")},
      protocol_errors{registry.counter("diskless_iscsi_protocol_errors_total")} {}

struct IscsiService::Impl {
    Impl(const config::Iscsi& config, const Deps& deps)
        : lanes{deps.lanes},
          strand{lanes.next()},
          shared{new Shared{.config = config,
                            .limits = limits_of(config),
                            .catalog = deps.catalog,
                            .addresses = deps.addresses,
                            .secrets = deps.secrets,
                            .observer = deps.observer,
                            .registry = deps.counters,
                            .counters = Counters{deps.counters},
                            .targets{strand, deps.luns, deps.reservations},
                            .sessions{config.max_sessions},
                            .buffers{config.buffer_bytes}}},
          tick{strand},
          group{strand, "iscsi"} {}

    /// One more way in.
    void listen(const IpAddress& address, std::uint16_t port, TlsContext* with);
    struct Entrance {
        asio::ip::tcp::acceptor acceptor;
        TlsContext* tls;  // nullptr: in the clear
    };
    asio::awaitable<void> accept(Entrance& entrance);
    asio::awaitable<void> sweep();
    asio::awaitable<void> refresh();
    asio::awaitable<void> end_connections();
    asio::awaitable<void> none_live(std::chrono::milliseconds at_most);
    void begin(asio::ip::tcp::socket socket, TlsContext* with);
    [[nodiscard]] std::vector<std::shared_ptr<Connection>> live();

    const Lanes& lanes;
    asio::any_io_executor strand;  // of entrances, tick and connections
    std::shared_ptr<Shared> shared;
    std::list<Entrance> entrances;
    std::optional<TlsContext> tls;
    asio::steady_timer tick;
    TaskGroup group;
    std::vector<std::weak_ptr<Connection>> connections;
    bool stopping = false;
};

IscsiService::IscsiService(const config::Iscsi& config, Deps deps) : impl_{std::make_unique<Impl>(config, deps)} {}
IscsiService::~IscsiService() = default;

void IscsiService::bind(const IpAddress& address) {
    const config::Iscsi& config = impl_->shared->config;
    impl_->listen(address, config.port, nullptr);
    if (config.tls_port == 0) return;
    if (!impl_->tls) impl_->tls.emplace(config.tls_cert, config.tls_key, config.tls_client_ca);
    impl_->listen(address, config.tls_port, &*impl_->tls);
}

void IscsiService::Impl::listen(const IpAddress& address, std::uint16_t port, TlsContext* with) {
    const asio::ip::tcp::endpoint endpoint{asio_address(address), port};
    asio::ip::tcp::acceptor& at = entrances.emplace_back(Entrance{asio::ip::tcp::acceptor{strand}, with}).acceptor;
    error_code error;
    at.open(endpoint.protocol(), error);
    if (!error && address.v6()) bind_early(at);
    if (!error) at.set_option(asio::socket_base::reuse_address{true}, error);
    if (!error) at.bind(endpoint, error);
    if (!error) at.listen(listen_backlog, error);
    if (error) throw std::runtime_error{explain(error, address, port)};
}

std::uint16_t IscsiService::port() const { return impl_->entrances.front().acceptor.local_endpoint().port(); }

// Ended by stop(), never by cancellation: that would reach the nested coroutines across strands, which Boost 1.81 does not survive.
asio::awaitable<void> IscsiService::run() {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    for (Impl::Entrance& entrance : impl_->entrances)
        impl_->group.spawn(impl_->strand, [this, &entrance] { return impl_->accept(entrance); });
    co_await asio::co_spawn(impl_->strand, impl_->sweep(), asio::use_awaitable);
    co_await asio::co_spawn(impl_->strand, impl_->end_connections(), asio::use_awaitable);
    co_await impl_->group.join();
}

void IscsiService::stop() {
    asio::post(impl_->strand, [impl = impl_.get()] {
        impl->stopping = true;
        error_code ignored;
        for (Impl::Entrance& entrance : impl->entrances) entrance.acceptor.close(ignored);
        impl->tick.cancel();
    });
}

asio::awaitable<void> IscsiService::Impl::accept(Entrance& entrance) {
    while (!stopping) {
        auto [error, socket] = co_await entrance.acceptor.async_accept(lanes.next(), nothrow_await);
        if (stopping) break;
        if (error) {
            if (shared->failures.allow()) log::warn("iscsi.accept_failed", "error=\"{}\"", error.message());
            asio::steady_timer rest{strand, accept_rest};
            co_await rest.async_wait(nothrow_await);
            continue;
        }
        begin(std::move(socket), entrance.tls);
    }
}

void IscsiService::Impl::begin(asio::ip::tcp::socket socket, TlsContext* with) {
    shared->counters.accepted.add();
    std::erase_if(connections, [](const auto& connection) { return connection.expired(); });
    if (connections.size() >= shared->config.max_connections) {
        if (shared->failures.allow()) log::warn("iscsi.too_many_connections", "max_connections={}", shared->config.max_connections);
        return;
    }
    auto spawn = [this](asio::any_io_executor on, std::function<asio::awaitable<void>()> body) {
        group.spawn(std::move(on), std::move(body));
    };
    const auto connection = std::make_shared<Connection>(shared, std::move(socket), std::move(spawn), with);
    connections.push_back(connection);
    group.spawn(connection->strand(), [connection] { return connection->run(); });
}

std::vector<std::shared_ptr<Connection>> IscsiService::Impl::live() {
    std::vector<std::shared_ptr<Connection>> alive;
    for (const auto& weak : connections) {
        if (auto connection = weak.lock()) alive.push_back(std::move(connection));
    }
    return alive;
}

// One timer for all connections: timeouts are looked at about once a second.
asio::awaitable<void> IscsiService::Impl::sweep() {
    while (!stopping) {
        tick.expires_after(sweep_interval);
        co_await tick.async_wait(nothrow_await);
        for (const auto& connection : live()) connection->sweep();
        if (shared->sessions.size() == 0) shared->buffers.trim();
    }
}

// Asked first: open-iscsi and libiscsi log out and come back, which is kinder to their commands than a lost connection. Firmware ignores
// it.
asio::awaitable<void> IscsiService::Impl::end_connections() {
    for (const auto& connection : live()) connection->request_logout();
    co_await none_live(shared->config.logout_timeout);
    for (const auto& connection : live()) connection->stop();
    co_await none_live(shared->config.stop_timeout);
    for (const auto& connection : live()) connection->drop("server_stops");
}

asio::awaitable<void> IscsiService::Impl::none_live(std::chrono::milliseconds at_most) {
    const auto until = std::chrono::steady_clock::now() + at_most;
    constexpr std::chrono::milliseconds look_again{20};
    while (!live().empty() && std::chrono::steady_clock::now() < until) {
        tick.expires_after(look_again);
        co_await tick.async_wait(nothrow_await);
    }
}

void IscsiService::catalog_changed() {
    asio::post(impl_->strand, [impl = impl_.get()] {
        if (!impl->stopping) impl->group.spawn(impl->strand, [impl] { return impl->refresh(); });
    });
}

asio::awaitable<void> IscsiService::Impl::refresh() {
    for (const auto& connection : live()) connection->recheck();
    const auto catalog = shared->catalog.get();
    const AccessRules rules{*catalog, shared->addresses, shared->config.target_prefix};
    for (const auto& target : shared->targets.in_use()) {
        auto now = rules.describe(target->iqn());
        if (!now) continue;
        const std::string failure = co_await shared->targets.refresh(target, *std::move(now));
        if (!failure.empty()) log::error("target.unavailable", "target={} error=\"{}\"", target->iqn(), failure);
    }
}

void IscsiService::space_is_low() {
    for (const auto& target : impl_->shared->targets.in_use())
        target->units().post_to_thin(scsi::asc::thin_provisioning_soft_threshold_reached);
}

void IscsiService::probe(std::string_view name, std::chrono::milliseconds patience) {
    const std::string iqn = fmt::format("{}:{}", impl_->shared->config.target_prefix, name);
    for (const boot::SessionInfo& session : sessions()) {
        if (session.target != iqn) continue;
        if (const auto connection = impl_->shared->sessions.find(session.tsih)) connection->probe(patience);
    }
}

std::vector<boot::SessionInfo> IscsiService::sessions() const { return impl_->shared->sessions.list(); }

bool IscsiService::drop_session(std::uint16_t tsih) {
    const auto connection = impl_->shared->sessions.find(tsih);
    if (connection == nullptr) return false;
    connection->drop("dropped_by_administrator");
    return true;
}

}  // namespace diskless::iscsi
