#include "services/dhcp/v6_service.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <cstring>

#include "common/ip_endpoint.hpp"
#include "common/log.hpp"
#include "common/port_owner.hpp"
#include "common/task_group.hpp"
#include "services/dhcp/reminders.hpp"
#include "services/dhcp/request_view.hpp"
#include "services/dhcp/router_advertiser.hpp"
#include "services/dhcp/v6_responder.hpp"

namespace diskless::dhcp {
namespace {

using asio::ip::udp;

constexpr std::uint16_t client_port = 546;
constexpr int receive_buffer_bytes = 1 << 20;

[[noreturn]] void fail(std::string_view doing, std::string_view remedy, int error = errno) {
    throw std::runtime_error{fmt::format("DHCPv6: {}: {}; {}", doing, std::strerror(error), remedy)};
}

/// All_DHCP_Relay_Agents_and_Servers, and All_DHCP_Servers, which relays may ask (RFC 8415 7.1).
constexpr std::array<std::string_view, 2> groups{"ff02::1:2", "ff05::1:3"};

MacAddress mac_of_interface(int fd, const std::string& interface) noexcept {
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    if (interface.empty() || ::ioctl(fd, SIOCGIFHWADDR, &request) != 0) return {};
    return MacAddress::from(std::as_bytes(std::span{request.ifr_hwaddr.sa_data}));
}

std::vector<Ipv6Network> networks_of(const config::Dhcp& dhcp) {
    std::vector<Ipv6Network> networks;
    for (const config::Subnet6& subnet : dhcp.subnets6) networks.push_back(subnet.network);
    return networks;
}

}  // namespace

class DhcpV6Service::Worker : public std::enable_shared_from_this<Worker> {
 public:
    Worker(const config::Dhcp& dhcp, const config::UnknownClients& unknown, Deps deps, std::uint16_t port)
        : deps_{std::move(deps)},
          port_{port},
          advertises_{dhcp.router_advertisement && !deps_.interface.empty()},
          strand_{deps_.lanes.next()},
          socket_{strand_},
          responder_{{.subnets = dhcp.subnets6, .unknown = unknown.policy, .server = deps_.server, .duid = {}}},
          advertiser_{strand_, deps_.interface, deps_.counters, networks_of(dhcp)},
          children_{strand_, "dhcpv6"},
          requests_{deps_.counters.counter("diskless_dhcpv6_requests_total")},
          replies_{deps_.counters.counter("diskless_dhcpv6_replies_total")},
          dropped_{deps_.counters.counter("diskless_dhcpv6_dropped_total")} {}

    void bind() {
        error_code ec;
        socket_.open(udp::v6(), ec);
        if (ec) fail("cannot make a socket", "remove [[dhcp.subnet6]] where there is no IPv6", ec.value());
        socket_.set_option(asio::ip::v6_only{true}, ec);
        socket_.set_option(asio::socket_base::receive_buffer_size{receive_buffer_bytes}, ec);
        const bool whole_link = !deps_.interface.empty();
        if (whole_link) join_groups();
        const auto local = whole_link ? asio::ip::address{asio::ip::address_v6::any()} : asio_address(deps_.server.told());
        socket_.bind({local, port_}, ec);
        if (ec == asio::error::address_in_use)
            fail(
                fmt::format("cannot bind port {}", port_),
                fmt::format("{} has it: stop that, or remove [[dhcp.subnet6]]", owner_of_udp_port(port_).value_or("another DHCPv6 server")),
                ec.value());
        if (ec) fail(fmt::format("cannot bind port {}", port_), "start as root or with CAP_NET_BIND_SERVICE", ec.value());
        responder_.set_duid(v6::duid_of(mac_of_interface(socket_.native_handle(), deps_.interface)));
        if (advertises_) advertises_ = advertiser_.bind();
    }

    [[nodiscard]] asio::any_io_executor executor() const { return strand_; }
    [[nodiscard]] std::uint16_t port() const { return socket_.local_endpoint().port(); }

    asio::awaitable<void> run() {
        if (advertises_) children_.spawn(strand_, [this] { return advertiser_.run(); });
        std::array<std::byte, v6::max_request_bytes + 1> room{};  // one more than allowed shows oversized ones
        while (true) {
            udp::endpoint from;
            const auto [ec, n] = co_await socket_.async_receive_from(asio::buffer(room), from, nothrow_await);
            if (ec == asio::error::operation_aborted) break;
            if (!ec) handle(ByteSpan{room}.first(n), from);
        }
        children_.cancel();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await children_.join();
    }

 private:
    void join_groups() {
        const int fd = socket_.native_handle();
        const std::string& name = deps_.interface;
        if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), static_cast<socklen_t>(name.size())) != 0)
            fail(fmt::format("cannot use interface {}", name), "start as root or with CAP_NET_RAW");
        for (const std::string_view group : groups) {
            ipv6_mreq membership{};
            const Ipv6Address address = Ipv6Address::parse(group).value_or(Ipv6Address{});
            std::memcpy(&membership.ipv6mr_multiaddr, address.octets.data(), address.octets.size());
            membership.ipv6mr_interface = ::if_nametoindex(name.c_str());
            if (::setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &membership, sizeof membership) != 0)
                fail(fmt::format("cannot hear {} on {}", group, name),
                     "switch IPv6 on there (sysctl disable_ipv6), or remove [[dhcp.subnet6]]");
        }
    }

    void handle(ByteSpan datagram, const udp::endpoint& from) {
        requests_.add();
        const auto request = v6::decode(datagram);
        if (!request) {
            dropped_.add();
            log::trace("dhcpv6.dropped", "reason={}", request.error().reason);
            return;
        }
        const auto catalog = deps_.catalog.get();
        const Ipv6Address sender = ip_address(from.address()).v6().value_or(Ipv6Address{});
        const v6::Decision decision = responder_.respond(*request, sender, *catalog);
        log::trace("dhcpv6.request", "type={} from={} decision={}", v6::name_of(request->type), sender, decision.reason);
        tell(*request, decision);
        if (decision.action != v6::Decision::Action::reply) return;
        const std::vector<std::byte> reply = v6::encode(decision.reply, *request, responder_.duid());
        const bool given = decision.reason == "replied" && decision.address && decision.mac;
        // Before the reply leaves: the client's next packet may be here before we are back from sending.
        if (given) deps_.addresses.bind(*decision.address, *decision.mac);
        udp::endpoint to = from;
        if (!deps_.interface.empty()) to.port(request->hops.empty() ? client_port : port_);
        error_code ec;
        socket_.send_to(asio::buffer(reply), to, 0, ec);
        if (ec) return;
        replies_.add();
        if (given) observe(*request, decision);
    }

    void observe(const v6::Request& request, const v6::Decision& decision) {
        const std::string who = describe(decision.firmware, request.vendor_class);
        const std::string_view client = decision.client != nullptr ? std::string_view{decision.client->name} : "-";
        log::info("lease.acked", "mac={} ip={} client={} to=\"{}\"", *decision.mac, *decision.address, client, who);
        const boot::Stage stage = decision.firmware.stage;
        const bool system = stage == boot::Stage::system || stage == boot::Stage::plain;
        deps_.observer.observe({.step = system ? boot::Step::system_dhcp : boot::Step::dhcp,
                                .mac = *decision.mac,
                                .client = decision.client != nullptr ? decision.client->name : "",
                                .detail = fmt::format("{} to {}", *decision.address, who),
                                .at = std::chrono::system_clock::now(),
                                .uefi_asks = boot::is_uefi_itself(decision.firmware)});
    }

    void tell(const v6::Request& request, const v6::Decision& decision) {
        const auto now = std::chrono::steady_clock::now();
        if (decision.action == v6::Decision::Action::enroll) deps_.enroller.enroll(*decision.mac);
        if (decision.reason == "unknown_client" && decision.mac && request.type == v6::MessageType::solicit &&
            strangers_told_.due(*decision.mac, now))
            log::info("dhcpv6.ignored",
                      "mac={0} because=\"nobody declared it\" remedy=\"add [[client]] name = … mac = '{0}', or see [unknown_clients]\"",
                      *decision.mac);
        if (decision.reason == "no_subnet" && subnet_told_.due({}, now))
            log::warn("dhcpv6.no_subnet", "relay={} remedy=\"declare a [[dhcp.subnet6]] for that network\"",
                      request.hops.empty() ? "-" : request.hops.back().link.text());
        if (!decision.address) return;
        if (decision.reason == "released") deps_.addresses.release(*decision.address);
        if (decision.reason == "declined" && decision.mac && declined_told_.due(*decision.mac, now))
            log::warn("lease.declined", "mac={} ip={} effect=\"somebody else uses the address; it gets another one\"", *decision.mac,
                      *decision.address);
    }

    Deps deps_;
    std::uint16_t port_;
    bool advertises_;
    asio::any_io_executor strand_;
    udp::socket socket_;
    v6::Responder responder_;
    RouterAdvertiser advertiser_;
    TaskGroup children_;
    Reminders strangers_told_, subnet_told_, declined_told_;
    Counter& requests_;
    Counter& replies_;
    Counter& dropped_;
};

DhcpV6Service::DhcpV6Service(const config::Dhcp& dhcp, const config::UnknownClients& unknown, Deps deps, std::uint16_t port)
    : worker_{std::make_shared<Worker>(dhcp, unknown, std::move(deps), port)} {}
DhcpV6Service::~DhcpV6Service() = default;
void DhcpV6Service::bind() { worker_->bind(); }
asio::any_io_executor DhcpV6Service::executor() const { return worker_->executor(); }
asio::awaitable<void> DhcpV6Service::run() { return worker_->run(); }
std::uint16_t DhcpV6Service::port() const { return worker_->port(); }

}  // namespace diskless::dhcp
