// RouterAdvertiser: answers router solicitations on the boot network with a lifetime of 0. Without an answer iPXE waits 13 seconds for one
// after every DHCP ACK. Needs CAP_NET_RAW; a machine without IPv6 simply goes without.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "common/counters.hpp"
#include "common/network.hpp"

namespace diskless::dhcp {

class RouterAdvertiser {
 public:
    /// `managed`: the networks on the link whose addresses DHCPv6 gives.
    RouterAdvertiser(const asio::any_io_executor& executor, std::string interface, CounterRegistry& counters,
                     const std::vector<Ipv6Network>& managed = {});

    /// False: not possible here; the log says why.
    bool bind();
    asio::awaitable<void> run();

 private:
    void send(const void* to, unsigned to_bytes);

    std::string interface_;
    std::vector<std::byte> advertisement_;
    asio::posix::stream_descriptor socket_;
    Counter& answered_;
};

}  // namespace diskless::dhcp
