#include "services/dhcp/neighbour_probe.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "common/bytes.hpp"

namespace diskless::dhcp {
namespace {

constexpr std::size_t arp_bytes = 28;  // RFC 826 for Ethernet and IPv4
constexpr std::uint16_t arp_request = 1;

/// Sender address 0: a probe changes nobody's table.
std::array<std::byte, arp_bytes> arp_probe(const MacAddress& from, Ipv4Address address) noexcept {
    std::array<std::byte, arp_bytes> packet{};
    ByteWriter out{packet};
    out.be<std::uint16_t>(1);
    out.be<std::uint16_t>(ETHERTYPE_IP);
    out.u8(6);
    out.u8(4);
    out.be(arp_request);
    out.bytes(from.octets);
    out.zeros(4 + 6);
    out.be(address.value);
    return packet;
}

}  // namespace

NeighbourProbe::NeighbourProbe(asio::any_io_executor strand, std::string interface)
    : strand_{strand}, interface_{std::move(interface)}, socket_{strand} {}

void NeighbourProbe::bind() {
    const int fd = ::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP));
    if (fd < 0)
        throw std::system_error{errno, std::generic_category(),
                                "DHCP: cannot ask by ARP who uses an address; start with CAP_NET_RAW or set [dhcp] conflict_probe = false"};
    socket_.assign(fd);
    interface_index_ = static_cast<int>(::if_nametoindex(interface_.c_str()));
    sockaddr_ll here{};
    here.sll_family = AF_PACKET;
    here.sll_protocol = htons(ETH_P_ARP);
    here.sll_ifindex = interface_index_;
    ifreq request{};
    interface_.copy(request.ifr_name, IFNAMSIZ - 1);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 || ::ioctl(fd, SIOCGIFHWADDR, &request) != 0) {
        throw std::system_error{errno, std::generic_category(), "DHCP: cannot listen for ARP on " + interface_};
    }
    mac_ = MacAddress::from(std::as_bytes(std::span{request.ifr_hwaddr.sa_data}));
}

asio::awaitable<void> NeighbourProbe::run() {
    std::array<std::byte, 128> packet{};
    while (true) {
        const auto [ec] = co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, nothrow_await);
        if (ec) break;
        const ssize_t n = ::recv(socket_.native_handle(), packet.data(), packet.size(), MSG_DONTWAIT);
        // Any ARP packet that names the address as its sender's, request or reply, is a sign of life.
        if (n >= static_cast<ssize_t>(arp_bytes))
            answered({load_be<std::uint32_t>(packet, 14)}, MacAddress::from(ByteSpan{packet}.subspan(8, 6)));
    }
    probes_->clear();
}

void NeighbourProbe::ask(Ipv4Address address, const MacAddress& client, std::function<void(bool)> done) {
    if (probes_->size() >= max_probes) return done(false);
    const auto [probe, fresh] = probes_->try_emplace(address, Probe{client, asio::steady_timer{strand_, patience}, std::move(done)});
    if (!fresh) return;
    send(address);
    // A clock that has run out already may be heard after our end: the handler owns nothing and asks whether we live.
    probe->second.clock.async_wait([weak = std::weak_ptr{probes_}, address](error_code ec) {
        const auto probes = weak.lock();
        if (!ec && probes) finish(*probes, address, false);
    });
}

void NeighbourProbe::send(Ipv4Address address) {
    const auto packet = arp_probe(mac_, address);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_ARP);
    to.sll_ifindex = interface_index_;
    to.sll_halen = ETH_ALEN;
    for (unsigned char& octet : std::span{to.sll_addr}.first(ETH_ALEN)) octet = 0xff;
    (void)::sendto(socket_.native_handle(), packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

void NeighbourProbe::answered(Ipv4Address address, const MacAddress& by) {
    const auto found = probes_->find(address);
    if (found != probes_->end() && found->second.client != by) finish(*probes_, address, true);
}

void NeighbourProbe::finish(Probes& probes, Ipv4Address address, bool taken) {
    const auto found = probes.extract(address);
    if (!found.empty()) found.mapped().done(taken);
}

}  // namespace diskless::dhcp
