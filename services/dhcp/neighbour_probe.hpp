// NeighbourProbe: asks by ARP whether somebody already uses an address (RFC 5227 2.1.1), before that address is offered to a machine for
// the first time. Lives on one strand.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/asio.hpp"
#include "common/network.hpp"

namespace diskless::dhcp {

class NeighbourProbe {
 public:
    NeighbourProbe(asio::any_io_executor strand, std::string interface);

    /// Throws std::runtime_error when packets cannot be sent here.
    void bind();
    /// Hears answers until it is cancelled.
    asio::awaitable<void> run();

    /// `done(taken)` after an answer of anybody but `client` itself, or after `patience` without one. More than max_probes at once are not
    /// asked: then done(false) at once. An address that is being asked about already is not asked twice: `done` is dropped, and its client
    /// asks again.
    void ask(Ipv4Address address, const MacAddress& client, std::function<void(bool taken)> done);

    static constexpr std::chrono::milliseconds patience{250};
    static constexpr std::size_t max_probes = 256;

 private:
    struct Probe {
        MacAddress client;
        asio::steady_timer clock;
        std::function<void(bool)> done;
    };
    using Probes = std::unordered_map<Ipv4Address, Probe>;

    void send(Ipv4Address address);
    void answered(Ipv4Address address, const MacAddress& by);
    static void finish(Probes& probes, Ipv4Address address, bool taken);

    asio::any_io_executor strand_;
    std::string interface_;
    asio::posix::stream_descriptor socket_;
    MacAddress mac_;
    int interface_index_ = 0;
    std::shared_ptr<Probes> probes_ = std::make_shared<Probes>();
};

}  // namespace diskless::dhcp
