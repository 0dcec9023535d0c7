#include "services/dhcp/transport.hpp"

#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "common/port_owner.hpp"

namespace diskless::dhcp {
namespace {

constexpr int receive_buffer_bytes = 4 << 20;  // a classroom switched on at once: some thousand requests in one moment

[[noreturn]] void fail(std::string_view doing, std::string_view remedy, int error = errno) {
    throw std::runtime_error{fmt::format("DHCP: {}: {}{}{}", doing, std::strerror(error), remedy.empty() ? "" : "; ", remedy)};
}

std::string remedy_for_bind(int error, std::uint16_t port) {
    switch (error) {
        case EADDRINUSE: {
            const std::string owner = owner_of_udp_port(port).value_or("another program (a DHCP server: dnsmasq, isc-dhcp-server, kea?)");
            return fmt::format("{} has it: stop that, or set [dhcp] mode = \"off\"", owner);
        }
        case EACCES:
        case EPERM: return "start as root or with CAP_NET_BIND_SERVICE, or use a port above 1023";
        default: return "";
    }
}

sockaddr_in socket_address(Ipv4Address address, std::uint16_t port) noexcept {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(address.value);
    return out;
}

}  // namespace

Transport::Transport(const asio::any_io_executor& executor, Setup setup) : setup_{std::move(setup)}, socket_{executor}, room_(max_burst) {}

Transport::~Transport() {
    if (raw_ >= 0) ::close(raw_);
}

void Transport::bind() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("cannot make a socket", "");
    socket_.assign(fd);
    const int on = 1;
    (void)::setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0) {
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    Ipv4Address local = setup_.address;
    if (!setup_.interface.empty()) {
        // Broadcasts from clients do not arrive at a socket that is bound to one address.
        local = {};
        if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, setup_.interface.c_str(), static_cast<socklen_t>(setup_.interface.size())) != 0) {
            const bool forbidden = errno == EPERM || errno == EACCES;
            fail(fmt::format("cannot use interface {}", setup_.interface),
                 forbidden ? "start as root or with CAP_NET_RAW" : "name an interface of this machine in [server] interface");
        }
    }
    const sockaddr_in address = socket_address(local, setup_.port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        fail(fmt::format("cannot bind port {} ({})", setup_.port, setup_.interface.empty() ? setup_.address.text() : setup_.interface),
             remedy_for_bind(error, setup_.port), error);
    }
    if (!setup_.interface.empty() && !setup_.answers_sender) open_raw();
}

void Transport::open_raw() {
    raw_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (raw_ < 0) fail("cannot send frames to clients without an address", "start as root or with CAP_NET_RAW");
    interface_index_ = static_cast<int>(::if_nametoindex(setup_.interface.c_str()));
    ifreq request{};
    setup_.interface.copy(request.ifr_name, IFNAMSIZ - 1);
    if (::ioctl(raw_, SIOCGIFHWADDR, &request) != 0) fail(fmt::format("cannot read the MAC of interface {}", setup_.interface), "");
    interface_mac_ = MacAddress::from(std::as_bytes(std::span{request.ifr_hwaddr.sa_data}));
}

std::uint16_t Transport::port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    (void)::getsockname(const_cast<asio::posix::stream_descriptor&>(socket_).native_handle(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

asio::awaitable<std::vector<Transport::Datagram>> Transport::receive() {
    std::array<mmsghdr, max_burst> headers{};
    std::array<iovec, max_burst> pieces{};
    std::array<sockaddr_in, max_burst> senders{};
    for (std::size_t i = 0; i < max_burst; ++i) {
        pieces[i] = {room_[i].data(), room_[i].size()};
        headers[i].msg_hdr = {.msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    std::vector<Datagram> burst;
    while (burst.empty()) {
        const auto [ec] = co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, nothrow_await);
        if (ec) co_return burst;
        const int count = ::recvmmsg(socket_.native_handle(), headers.data(), max_burst, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < count; ++i) {
            const auto n = static_cast<std::size_t>(i);
            burst.push_back({ByteSpan{room_[n]}.first(headers[n].msg_len), senders[n]});
        }
    }
    co_return burst;
}

// RFC 2131 4.1: relays listen on the server port, clients on the next one.
sockaddr_in Transport::destination(const Delivery& delivery, const sockaddr_in& from) const noexcept {
    if (setup_.interface.empty() || setup_.answers_sender) return from;
    const auto client_port = static_cast<std::uint16_t>(setup_.port + 1);
    return socket_address(delivery.address, delivery.kind == Delivery::Kind::relay ? setup_.port : client_port);
}

bool Transport::send(ByteSpan message, const Delivery& delivery, const sockaddr_in& from) {
    if (delivery.kind == Delivery::Kind::raw && raw_ >= 0) return send_raw(message, delivery);
    sockaddr_in to = destination(delivery, from);
    iovec piece{const_cast<std::byte*>(message.data()), message.size()};
    // The source is the address clients know as the server identifier, whatever the routing table would choose.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
    msghdr header{.msg_name = &to,
                  .msg_namelen = sizeof to,
                  .msg_iov = &piece,
                  .msg_iovlen = 1,
                  .msg_control = control.data(),
                  .msg_controllen = control.size()};
    cmsghdr* info = CMSG_FIRSTHDR(&header);
    info->cmsg_level = IPPROTO_IP;
    info->cmsg_type = IP_PKTINFO;
    info->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo source{};
    source.ipi_spec_dst.s_addr = htonl(setup_.address.value);
    std::memcpy(CMSG_DATA(info), &source, sizeof source);
    return ::sendmsg(socket_.native_handle(), &header, MSG_DONTWAIT) >= 0;
}

bool Transport::send_raw(ByteSpan message, const Delivery& delivery) {
    wire::build_frame({interface_mac_, setup_.address, setup_.port},
                      {delivery.mac, delivery.address, static_cast<std::uint16_t>(setup_.port + 1)}, message, frame_);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_IP);
    to.sll_ifindex = interface_index_;
    to.sll_halen = ETH_ALEN;
    std::memcpy(to.sll_addr, delivery.mac.octets.data(), delivery.mac.octets.size());
    return ::sendto(raw_, frame_.data(), frame_.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0;
}

}  // namespace diskless::dhcp
