#include "disklessd/server.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <csignal>
#include <optional>
#include <set>

#include "common/log.hpp"
#include "common/runtime.hpp"
#include "common/systemd.hpp"
#include "common/task_group.hpp"
#include "common/text.hpp"
#include "common/timeout.hpp"
#include "common/version.hpp"
#include "db/boots.hpp"
#include "db/catalog.hpp"
#include "db/database.hpp"
#include "db/disks.hpp"
#include "db/events.hpp"
#include "db/images.hpp"
#include "db/leases.hpp"
#include "db/reservations.hpp"
#include "disklessd/boot_desk.hpp"
#include "disklessd/boot_recorder.hpp"
#include "disklessd/boot_sets.hpp"
#include "disklessd/disk_library.hpp"
#include "disklessd/enrollment.hpp"
#include "disklessd/generated_files.hpp"
#include "disklessd/image_library.hpp"
#include "disklessd/interface_address.hpp"
#include "disklessd/privileges.hpp"
#include "disklessd/space_guard.hpp"
#include "services/dhcp/proxy_service.hpp"
#include "services/dhcp/service.hpp"
#include "services/dhcp/v6_service.hpp"
#include "services/http/api_service.hpp"
#include "services/http/service.hpp"
#include "services/iscsi/service.hpp"
#include "services/tftp/service.hpp"

namespace diskless {
namespace {

using namespace std::chrono_literals;

/// All of stopping together: then the process ends whatever is left. More than what [iscsi] gives commands in flight.
constexpr auto stop_limit = 20s;
/// How long the list of addresses with live sessions may be old.
constexpr auto in_use_age = 1s;
constexpr auto space_period = 1s;
/// After so many of them disks write what they have in memory.
constexpr unsigned tidy_rounds = 5;

std::string_view effect_of(SpaceLevel level) noexcept {
    switch (level) {
        case SpaceLevel::enough: return "none; everything goes on";
        case SpaceLevel::low: return "initiators are warned";
        case SpaceLevel::scarce: return "no new disks, no snapshots";
        case SpaceLevel::all_gone: return "writes that need new space fail until there is some";
    }
    return "";
}

/// Where the services listen and what clients are told.
struct Network {
    std::string interface;
    Ipv4Address address;
    std::optional<Ipv6Address> address6;
};

/// What [server] says, else the interface's address in a network of ours; nothing: nobody wants IPv6.
std::optional<Ipv6Address> address6_of(const config::Config& config, const std::string& interface) {
    if (config.server.address6 || config.dhcp.subnets6.empty()) return config.server.address6;
    for (const Ipv6Address& address : addresses6_of(interface)) {
        for (const config::Subnet6& subnet : config.dhcp.subnets6) {
            if (subnet.network.contains(address)) return address;
        }
    }
    throw std::runtime_error{
        fmt::format("interface {0} has no address in {1}; give it one (ip address add … dev {0}) or set [server] address6", interface,
                    config.dhcp.subnets6.front().network)};
}

Network network_of(const config::Config& config) {
    const config::Server& server = config.server;
    if (server.address) {
        // With an address alone, DHCP still wants the interface: broadcasts and frames need one. Loopback has no clients without an
        // address.
        std::string interface = server.interface.empty() ? interface_with_address(*server.address) : server.interface;
        if (interface == "lo") interface.clear();
        return {interface, *server.address, address6_of(config, interface)};
    }
    if (server.interface.empty())
        throw std::runtime_error{"the boot network is not named; set [server] interface = \"eth1\" or address = \"192.168.77.1\""};
    return {server.interface, address_of_interface(server.interface), address6_of(config, server.interface)};
}

/// Every disk, session and boot file is a descriptor; the soft limit of 1024 is for programs that use select().
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

/// The disks of the library, as the iSCSI service wants them.
class LibraryLuns final : public iscsi::LunProvider {
 public:
    explicit LibraryLuns(DiskLibrary& disks) : disks_{disks} {}

    asio::awaitable<std::expected<std::vector<iscsi::Lun>, std::string>> open(const iscsi::TargetRef& target, bool boots) override {
        auto ready = disks_.ready(target.name, boots);
        if (!ready) ready = co_await asio::co_spawn(disks_.executor(), open_here(target.name, boots), asio::use_awaitable);
        std::vector<iscsi::Lun> luns;
        for (OpenDisk& disk : *ready)
            luns.push_back(
                {disk.disk.lun, std::move(disk.device), std::move(disk.disk.description), disk.disk.removable, disk.disk.sanitize});
        if (luns.empty() && !target.disks.empty())
            co_return std::unexpected{std::string{"none of its disks can be served; see disk.unavailable above"}};
        co_return luns;
    }

 private:
    asio::awaitable<std::vector<OpenDisk>> open_here(std::string name, bool boots) { co_return disks_.disks_for(name, boots); }

    DiskLibrary& disks_;
};

/// Every service tells what it saw; who boots by kernel has no firmware that logs in, so the disk library has to know.
class BootWatch final : public boot::BootObserver {
 public:
    BootWatch(BootRecorder& recorder, const boot::CurrentCatalog& catalog, DiskLibrary& disks)
        : recorder_{recorder}, catalog_{catalog}, disks_{disks} {}
    void observe(boot::Event event) override {
        if (event.step == boot::Step::script && !event.client.empty()) {
            const auto catalog = catalog_.get();
            const boot::Client* client = catalog->by_name(event.client);
            if (client != nullptr && client->boot == boot::BootMethod::kernel) disks_.expect_boot(event.client);
        }
        recorder_.observe(std::move(event));
    }

 private:
    BootRecorder& recorder_;
    const boot::CurrentCatalog& catalog_;
    DiskLibrary& disks_;
};

}  // namespace

struct Server::Parts {
    explicit Parts(config::Config configuration);

    // --- in the order of start; what comes later uses what came before -----------------------------------------------------------------
    config::Config config;
    Network network;
    std::vector<Ipv4Network> links;
    CounterRegistry counters;
    Runtime runtime;
    db::Database database;
    db::CatalogStore clients;
    db::LeaseStore leases;
    db::ReservationStore reservations;
    db::BootStore boots;
    db::EventStore events;
    db::ImageStore image_store;
    db::DiskStore disk_store;
    boot::CurrentCatalog catalog;
    boot::AddressBook addresses;
    boot::CurrentSecrets secrets;
    BootRecorder recorder;
    ImageLibrary images;
    BootSets boot_sets;
    DiskLibrary disks;
    LibraryLuns luns;
    BootWatch watch;
    storage::BootFiles tftp_files, http_files;
    asio::thread_pool slow{1};  // reloads: reading files, opening disks
    TaskGroup services;
    TaskGroup chores;
    Enrollment enrollment;
    std::optional<iscsi::IscsiService> iscsi;
    std::optional<dhcp::DhcpService> dhcp;
    std::optional<dhcp::ProxyService> proxy;
    std::optional<dhcp::DhcpV6Service> dhcp6;
    std::optional<tftp::TftpService> tftp, tftp6;
    std::optional<http::HttpService> http, http6;
    std::optional<BootDesk> desk;
    std::optional<http::ApiService> api;

    [[nodiscard]] boot::BootServer boot_server() const;
    [[nodiscard]] boot::BootServer boot_server6() const;
    [[nodiscard]] bool serves_unknown() const noexcept { return config.unknown_clients.policy == config::UnknownPolicy::menu; }
    void warn_of_gaps() const;
    http::MenuOrders menu_orders();
    void make_services();
    void make_file_services(const boot::BootServer& seen, std::optional<tftp::TftpService>& by_tftp,
                            std::optional<http::HttpService>& by_http);
    void bind();
    void spawn();
    asio::awaitable<void> obey_signals();
    asio::awaitable<void> look_after_disks();
    void look_at_space();
    asio::awaitable<void> reload();
    asio::awaitable<void> stop();
    void use_catalog();
    asio::awaitable<void> refresh_catalog();
    void keep_next_boot(const std::string& client, const std::string& choice);
    asio::awaitable<bool> take_next_boot(std::string client, std::string choice);
    void warn_of_restart(const config::Config& fresh) const;
    [[nodiscard]] bool in_use(Ipv4Address address);

    SpaceLevel space = SpaceLevel::enough;   // only look_after_disks()
    std::set<std::string> addresses_in_use;  // of live sessions; only DHCP's strand touches these two
    std::chrono::steady_clock::time_point addresses_seen;
};

Server::Parts::Parts(config::Config configuration)
    : config{std::move(configuration)},
      network{network_of(config)},
      links{links_of(network.interface)},
      runtime{config.server.io_threads},
      database{config.server.data_dir, counters},
      clients{database},
      leases{database},
      reservations{database},
      boots{database},
      events{database},
      image_store{database},
      disk_store{database},
      catalog{std::make_shared<const boot::Catalog>(clients.synchronise_at_start(config.declared))},
      secrets{config.secrets},
      recorder{[this](MacAddress mac, const boot::BootTimeline& timeline) { boots.keep(mac, timeline); }},
      images{config.server.data_dir, image_store, disk_store},
      boot_sets{counters},
      disks{config.server.data_dir,
            storage::make_backend(config.server.io, config.server.storage_threads),
            images,
            disk_store,
            {.changed =
                 [this] {
                     if (iscsi) iscsi->catalog_changed();
                 },
             .probe =
                 [this](const std::string& owner, std::chrono::milliseconds patience) {
                     if (iscsi) iscsi->probe(owner, patience);
                 },
             .boots = [this](BootSets::Version version) { boot_sets.boot_begins(std::move(version)); }}},
      luns{disks},
      watch{recorder, catalog, disks},
      tftp_files{config.tftp.root},
      http_files{config.http.root},
      services{runtime.executor(), "services"},
      chores{runtime.executor(), "chores"},
      enrollment{chores, clients, events, config.unknown_clients, [this] { return refresh_catalog(); }} {
    warn_of_gaps();
    std::filesystem::create_directories(config.tftp.root);
    images.synchronise(catalog.get()->data().images);
    // What is declared and missing, locked or no disk is a mistake to be told at start.
    for (const std::string& failure : disks.open(*catalog.get())) throw std::runtime_error{failure};
    make_services();
    bind();
    drop_privileges(config.server.user);
    images.start();
}

void Server::Parts::warn_of_gaps() const {
    if (config.dhcp.mode == config::DhcpMode::server && config.dhcp.subnets.empty()) {
        log::warn("dhcp.no_subnets",
                  "effect=\"no machine gets an address\" remedy=\"declare a [[dhcp.subnet]], or set [dhcp] mode = 'off'\"");
    }
}

boot::BootServer Server::Parts::boot_server() const {
    return {.address = network.address,
            .tftp_port = config.tftp.port,
            .http_port = config.http.port,
            .iscsi_port = config.iscsi.port,
            .target_prefix = config.iscsi.target_prefix,
            .links = links};
}

boot::BootServer Server::Parts::boot_server6() const {
    boot::BootServer server = boot_server();
    server.address6 = network.address6;
    return server;
}

http::MenuOrders Server::Parts::menu_orders() {
    http::MenuOrders orders{
        .take_next_boot = [this](std::string client, std::string choice) { return take_next_boot(std::move(client), std::move(choice)); },
        .enroll = [this](MacAddress mac, std::string group) { return enrollment.enroll_in(mac, std::move(group)); },
        .enroll_groups = {},
        .enroll_password = config.unknown_clients.password};
    if (serves_unknown()) orders.enroll_groups = config.unknown_clients.groups;
    return orders;
}

void Server::Parts::make_services() {
    if (config.iscsi.port != 0) {
        iscsi.emplace(config.iscsi, iscsi::IscsiService::Deps{.lanes = runtime.lanes(),
                                                              .catalog = catalog,
                                                              .addresses = addresses,
                                                              .secrets = secrets,
                                                              .counters = counters,
                                                              .observer = watch,
                                                              .luns = luns,
                                                              .reservations = reservations});
    }
    config::Dhcp dhcp4 = config.dhcp;
    if (!config.dhcp.subnets6.empty()) {
        dhcp4.router_advertisement = false;  // DHCPv6's says more
        dhcp6.emplace(config.dhcp, config.unknown_clients,
                      dhcp::DhcpV6Service::Deps{.lanes = runtime.lanes(),
                                                .catalog = catalog,
                                                .addresses = addresses,
                                                .counters = counters,
                                                .observer = watch,
                                                .enroller = enrollment,
                                                .server = boot_server6(),
                                                .interface = network.interface});
    }
    if (config.dhcp.mode == config::DhcpMode::server) {
        dhcp::Deps deps{.lanes = runtime.lanes(),
                        .catalog = catalog,
                        .addresses = addresses,
                        .leases = leases,
                        .counters = counters,
                        .observer = watch,
                        .enroller = enrollment,
                        .server = boot_server(),
                        .interface = network.interface,
                        .in_use = {}};
        if (iscsi) deps.in_use = [this](Ipv4Address address) { return in_use(address); };
        dhcp.emplace(dhcp4, config.unknown_clients, std::move(deps), leases.load_at_start());
    }
    if (config.dhcp.mode == config::DhcpMode::proxy) {
        proxy.emplace(dhcp4, config.unknown_clients,
                      dhcp::ProxyService::Deps{.lanes = runtime.lanes(),
                                               .catalog = catalog,
                                               .addresses = addresses,
                                               .counters = counters,
                                               .observer = watch,
                                               .enroller = enrollment,
                                               .server = boot_server(),
                                               .interface = network.interface});
    }
    make_file_services(boot_server(), tftp, http);
    if (network.address6) make_file_services(boot_server6(), tftp6, http6);
    desk.emplace(catalog, addresses, boot_server(), network.interface,
                 [this](const std::string& client, const std::string& choice) { keep_next_boot(client, choice); });
    api.emplace(http::ApiService::Deps{.lanes = runtime.lanes(),
                                       .counters = counters,
                                       .sessions = iscsi ? &*iscsi : nullptr,
                                       .images = &images,
                                       .disks = &disks,
                                       .boots = &*desk,
                                       .leases = dhcp ? &*dhcp : nullptr,
                                       .catalog = &catalog,
                                       .version = std::string{version}});
}

/// TFTP and HTTP for whoever reaches the server as `seen`.
void Server::Parts::make_file_services(const boot::BootServer& seen, std::optional<tftp::TftpService>& by_tftp,
                                       std::optional<http::HttpService>& by_http) {
    const auto generated = [this, seen](std::string_view name, const IpAddress& address) {
        const auto current = catalog.get();
        const boot::Client* client = boot::client_at(*current, addresses, address);
        auto text = generated_file(name, *current, client, seen, serves_unknown());
        // What a loader is told once is used up; it does not wait for that, for TFTP answers at once.
        if (text && client != nullptr && !client->next_boot.empty())
            chores.spawn([this, client = client->name, choice = client->next_boot]() -> asio::awaitable<void> {
                (void)co_await take_next_boot(client, choice);
            });
        return text;
    };
    if (config.tftp.port != 0) {
        by_tftp.emplace(config.tftp, tftp::Deps{.lanes = runtime.lanes(),
                                                .files = tftp_files,
                                                .catalog = catalog,
                                                .addresses = addresses,
                                                .counters = counters,
                                                .observer = watch,
                                                .generated = generated});
    }
    if (config.http.port != 0) {
        by_http.emplace(config.http, http::Deps{.lanes = runtime.lanes(),
                                                .files = http_files,
                                                .catalog = catalog,
                                                .addresses = addresses,
                                                .secrets = secrets,
                                                .counters = counters,
                                                .observer = watch,
                                                .server = seen,
                                                .serves_unknown = serves_unknown(),
                                                .generated = generated,
                                                .orders = menu_orders(),
                                                .version = std::string{version}});
    }
}

void Server::Parts::bind() {
    if (dhcp) dhcp->bind();
    if (proxy) proxy->bind();
    if (tftp) tftp->bind(network.address);
    if (http) http->bind(network.address);
    if (iscsi) iscsi->bind(network.address);
    if (dhcp6) dhcp6->bind();
    if (network.address6) {
        if (tftp6) tftp6->bind(*network.address6);
        if (http6) http6->bind(*network.address6);
        if (iscsi) iscsi->bind(*network.address6);
    }
    api->bind(config.server.api_socket);
}

void Server::Parts::spawn() {
    if (dhcp) services.spawn(dhcp->executor(), [this] { return dhcp->run(); });
    if (proxy) services.spawn(proxy->executor(), [this] { return proxy->run(); });
    if (dhcp6) services.spawn(dhcp6->executor(), [this] { return dhcp6->run(); });
    for (auto* service : {&tftp, &tftp6}) {
        if (*service) services.spawn((*service)->executor(), [service] { return (*service)->run(); });
    }
    for (auto* service : {&http, &http6}) {
        if (*service) services.spawn((*service)->executor(), [service] { return (*service)->run(); });
    }
    if (iscsi) services.spawn([this] { return iscsi->run(); });
    services.spawn(api->executor(), [this] { return api->run(); });
    chores.spawn([this] { return obey_signals(); });
    chores.spawn([this] { return look_after_disks(); });
}

asio::awaitable<void> Server::Parts::look_after_disks() {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (unsigned round = 0;; ++round) {
        timer.expires_after(space_period);
        if (const auto [ec] = co_await timer.async_wait(nothrow_await); ec) co_return;
        look_at_space();
        boot_sets.look();
        if (round % tidy_rounds == 0) disks.tidy();
    }
}

void Server::Parts::look_at_space() {
    std::error_code failed;
    // Where what clients write lies.
    const auto disks_folder = config.server.data_dir / "disks";
    const bool has_disks = std::filesystem::exists(disks_folder, failed);
    const auto found = std::filesystem::space(has_disks ? disks_folder : config.server.data_dir, failed);
    if (failed) return;
    const SpaceLevel before = std::exchange(space, next_level(space, {found.capacity, found.available}));
    if (space == before) return;
    disks.set_space_short(space >= SpaceLevel::scarce, space >= SpaceLevel::all_gone);
    log::warn("space.changed", "free_mib={} effect=\"{}\"", found.available >> 20, effect_of(space));
    if (space > before && iscsi) iscsi->space_is_low();
}

bool Server::Parts::in_use(Ipv4Address address) {
    const auto now = std::chrono::steady_clock::now();
    if (now - addresses_seen > in_use_age) {
        addresses_seen = now;
        addresses_in_use.clear();
        for (const boot::SessionInfo& session : iscsi->sessions())
            addresses_in_use.insert(session.address.substr(0, session.address.find(':')));
    }
    return !addresses_in_use.empty() && addresses_in_use.contains(address.text());
}

/// On `slow` alone: what is read from the store later is also used later.
void Server::Parts::use_catalog() {
    auto fresh = std::make_shared<const boot::Catalog>(clients.load());
    for (const std::string& failure : disks.open(*fresh)) log::error("disk.unavailable", "disk=\"{}\"", failure);
    catalog.replace(std::move(fresh));
    if (iscsi) iscsi->catalog_changed();
}

asio::awaitable<void> Server::Parts::refresh_catalog() {
    co_await asio::co_spawn(slow, [this]() -> asio::awaitable<void> { co_return use_catalog(); }, asio::use_awaitable);
}

void Server::Parts::keep_next_boot(const std::string& client, const std::string& choice) {
    clients.set_next_boot(client, choice);
    asio::post(slow, asio::use_future([this] { use_catalog(); })).get();
}

asio::awaitable<bool> Server::Parts::take_next_boot(std::string client, std::string choice) {
    if (!co_await clients.take_next_boot(client, choice)) co_return false;
    if (choice == boot::name_of(boot::BootMethod::kernel)) disks.expect_boot(client);
    co_await refresh_catalog();
    co_return true;
}

asio::awaitable<void> Server::Parts::obey_signals() {
    asio::signal_set signals{co_await asio::this_coro::executor, SIGTERM, SIGINT, SIGHUP};
    while (true) {
        const auto [ec, number] = co_await signals.async_wait(nothrow_await);
        if (ec) co_return;
        if (number != SIGHUP) break;
        co_await reload();
    }
    // stop() joins this group too, so it runs beside it.
    asio::co_spawn(asio::make_strand(runtime.executor()), stop(), [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
    });
}

asio::awaitable<void> Server::Parts::reload() {
    notify_systemd("RELOADING=1");
    std::optional<config::Config> fresh;
    std::string refusal;
    co_await asio::co_spawn(
        slow,
        [&]() -> asio::awaitable<void> {
            try {
                fresh = config::load(config.file);
            } catch (const std::exception& e) {
                refusal = e.what();
            }
            co_return;
        },
        asio::use_awaitable);
    if (fresh) {
        warn_of_restart(*fresh);
        secrets.replace(fresh->secrets);
        const auto data = co_await clients.synchronise(fresh->declared);
        co_await asio::co_spawn(
            slow,
            [&]() -> asio::awaitable<void> {
                images.synchronise(data.images);
                co_return use_catalog();
            },
            asio::use_awaitable);
        log::info("config.reloaded", "file={} clients={} targets={}", config.file.string(), catalog.get()->clients().size(),
                  catalog.get()->targets().size());
    } else {
        log::error("config.refused", "effect=\"everything stays as it was\" findings=\"{}\"", escaped(refusal, 4000));
    }
    notify_systemd("READY=1");
}

/// Clients, groups, images and targets are taken over while serving; the rest is fixed at start.
void Server::Parts::warn_of_restart(const config::Config& fresh) const {
    const auto changed = [](std::string_view table, bool same) {
        if (!same) log::warn("config.restart_needed", "table={} effect=\"its changes count after a restart\"", table);
    };
    changed("[server]", fresh.server == config.server);
    changed("[dhcp]", fresh.dhcp == config.dhcp);
    changed("[tftp]", fresh.tftp == config.tftp);
    changed("[http]", fresh.http == config.http);
    changed("[iscsi]", fresh.iscsi == config.iscsi);
    changed("[unknown_clients]", fresh.unknown_clients == config.unknown_clients);
}

asio::awaitable<void> Server::Parts::stop() {
    log::info("server.stopping");
    notify_systemd("STOPPING=1");
    asio::steady_timer limit{co_await asio::this_coro::executor, stop_limit};
    limit.async_wait([](error_code ec) {
        if (ec) return;
        log::error("server.stop_forced", "after={}s", stop_limit.count());
        ::_exit(1);  // what clients were told is on disk; nothing else is worth waiting for
    });
    if (iscsi) iscsi->stop();
    services.cancel();
    chores.cancel();
    co_await services.join();
    co_await chores.join();
    limit.cancel();
    runtime.stop();
}

Server::Server(config::Config config) {
    raise_descriptor_limit();
    std::signal(SIGPIPE, SIG_IGN);
    parts_ = std::make_unique<Parts>(std::move(config));
}

Server::~Server() = default;

void Server::run() {
    parts_->spawn();
    const boot::BootServer server = parts_->boot_server();
    log::info("server.ready", "version={} address={} interface={} dhcp={} tftp={} http={} iscsi={} clients={} threads={}", version,
              server.address, parts_->network.interface.empty() ? "-" : parts_->network.interface,
              parts_->dhcp || parts_->proxy ? parts_->config.dhcp.port : 0, server.tftp_port, server.http_port, server.iscsi_port,
              parts_->catalog.get()->clients().size(), parts_->runtime.threads());
    notify_systemd("READY=1");
    parts_->runtime.run();
    log::info("server.stopped");
}

}  // namespace diskless
