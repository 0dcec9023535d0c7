#include "services/dhcp/router_advertiser.hpp"

#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/log.hpp"
#include "services/dhcp/wire/router_advertisement.hpp"

namespace diskless::dhcp {
namespace {

template<class T>
bool set(int fd, int level, int option, const T& value) noexcept {
    return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/// An ICMPv6 socket that hears only router solicitations on one interface; -1 with errno.
int open_socket(const std::string& interface) noexcept {
    const int fd = ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);
    if (fd < 0) return -1;
    icmp6_filter filter{};
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(wire::icmp6_router_solicitation, &filter);
    ipv6_mreq all_routers{};
    all_routers.ipv6mr_multiaddr.s6_addr[0] = 0xff;
    all_routers.ipv6mr_multiaddr.s6_addr[1] = 0x02;
    all_routers.ipv6mr_multiaddr.s6_addr[15] = 0x02;
    all_routers.ipv6mr_interface = ::if_nametoindex(interface.c_str());
    constexpr int hop_limit = 255;  // RFC 4861 6.1.2: anything else is ignored as coming from afar
    const bool ok = ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size())) == 0 &&
                    set(fd, IPPROTO_ICMPV6, ICMP6_FILTER, filter) && set(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, all_routers) &&
                    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hop_limit) && set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hop_limit) &&
                    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, all_routers.ipv6mr_interface);
    if (ok) return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
}

}  // namespace

RouterAdvertiser::RouterAdvertiser(const asio::any_io_executor& executor, std::string interface, CounterRegistry& counters,
                                   const std::vector<Ipv6Network>& managed)
    : interface_{std::move(interface)},
      advertisement_{wire::router_advertisement(managed)},
      socket_{executor},
      answered_{counters.counter("diskless_router_advertisements_total")} {}

bool RouterAdvertiser::bind() {
    const int fd = open_socket(interface_);
    if (fd < 0) {
        log::warn("router_advertisement.off", "interface={} because=\"{}\" effect=\"iPXE waits 13 s longer\"", interface_,
                  std::strerror(errno));
        return false;
    }
    socket_.assign(fd);
    return true;
}

void RouterAdvertiser::send(const void* to, unsigned to_bytes) {
    if (::sendto(socket_.native_handle(), advertisement_.data(), advertisement_.size(), MSG_DONTWAIT, static_cast<const sockaddr*>(to),
                 to_bytes) > 0)
        answered_.add();
}

// Answers go to all nodes (RFC 4861 6.2.6 allows it): a solicitation may come from the unspecified address.
asio::awaitable<void> RouterAdvertiser::run() {
    sockaddr_in6 all_nodes{};
    all_nodes.sin6_family = AF_INET6;
    all_nodes.sin6_addr.s6_addr[0] = 0xff;
    all_nodes.sin6_addr.s6_addr[1] = 0x02;
    all_nodes.sin6_addr.s6_addr[15] = 0x01;
    all_nodes.sin6_scope_id = ::if_nametoindex(interface_.c_str());
    send(&all_nodes, sizeof all_nodes);  // clients that wait already, since before the server was up
    std::array<std::byte, 256> packet{};
    while (true) {
        const auto [ec] = co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, nothrow_await);
        if (ec) co_return;
        const ssize_t n = ::recv(socket_.native_handle(), packet.data(), packet.size(), MSG_DONTWAIT);
        if (n > 0 && wire::is_router_solicitation(ByteSpan{packet}.first(static_cast<std::size_t>(n)))) send(&all_nodes, sizeof all_nodes);
    }
}

}  // namespace diskless::dhcp
