// Transport: DHCP's sockets behind one narrow interface. Receives bursts, sends by Delivery. With an interface: UDP bound to it, and a
// packet socket for clients without an address (CAP_NET_RAW). With only an address (tests, loopback): plain UDP, and every reply goes to
// where the request came from.
#pragma once

#include <netinet/in.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "services/dhcp/delivery.hpp"
#include "services/dhcp/wire/frame.hpp"

namespace diskless::dhcp {

class Transport {
 public:
    struct Setup {
        std::string interface;  ///< empty: address only
        Ipv4Address address;    ///< the server's
        std::uint16_t port = 67;
        bool answers_sender = false;  ///< every reply goes to where its request came from, as without an interface
    };
    Transport(const asio::any_io_executor& executor, Setup setup);
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    ~Transport();

    /// Opens the sockets. Throws std::runtime_error: what is missing, and what to do.
    void bind();

    struct Datagram {
        ByteSpan bytes;  ///< valid until the next receive()
        sockaddr_in from;
    };
    static constexpr std::size_t max_burst = 64;
    /// Waits for datagrams and takes all there are, up to max_burst. Empty: the transport is closed.
    asio::awaitable<std::vector<Datagram>> receive();

    /// Never blocks; what the kernel does not take is lost, as on any network: the client asks again. False then.
    bool send(ByteSpan message, const Delivery& delivery, const sockaddr_in& from);

    [[nodiscard]] bool can_send_raw() const noexcept { return raw_ >= 0; }
    [[nodiscard]] std::uint16_t port() const;

 private:
    void open_raw();
    [[nodiscard]] sockaddr_in destination(const Delivery& delivery, const sockaddr_in& from) const noexcept;
    bool send_raw(ByteSpan message, const Delivery& delivery);

    static constexpr std::size_t datagram_bytes = wire::max_request_bytes + 1;  // one more than allowed shows oversized ones

    Setup setup_;
    asio::posix::stream_descriptor socket_;
    int raw_ = -1;
    int interface_index_ = 0;
    MacAddress interface_mac_;
    std::vector<std::array<std::byte, datagram_bytes>> room_;
    std::vector<std::byte> frame_;
};

}  // namespace diskless::dhcp
