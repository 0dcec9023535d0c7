// A TftpService on loopback with a boot root of its own, and a client that says exactly what the test wants.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/runtime.hpp"
#include "common/task_group.hpp"
#include "scratch.hpp"
#include "services/tftp/service.hpp"
#include "services/tftp/wire/packet.hpp"

namespace diskless::tftp {

inline constexpr Ipv4Address loopback{0x7f000001};

/// Events in the order of their arrival; next() waits for one.
class Observed final : public boot::BootObserver {
 public:
    void observe(boot::Event event) override {
        const std::lock_guard lock{mutex_};
        events_.push_back(std::move(event));
        arrived_.notify_all();
    }
    boot::Event next() {
        std::unique_lock lock{mutex_};
        REQUIRE(arrived_.wait_for(lock, std::chrono::seconds{10}, [&] { return !events_.empty(); }));
        boot::Event event = std::move(events_.front());
        events_.erase(events_.begin());
        return event;
    }
    [[nodiscard]] bool empty() {
        const std::lock_guard lock{mutex_};
        return events_.empty();
    }

 private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::vector<boot::Event> events_;
};

struct Serving {
    explicit Serving(config::Tftp config = {}, Ipv4Address address = loopback) {
        config.port = 0;  // an ephemeral one
        service.emplace(std::move(config),
                        Deps{.lanes = runtime.lanes(),
                             .files = files,
                             .catalog = catalog,
                             .addresses = addresses,
                             .counters = counters,
                             .observer = observed,
                             .generated = [](std::string_view name, const IpAddress& client) -> std::optional<std::string> {
                                 if (name != "boot.ipxe") return std::nullopt;
                                 return "#!ipxe\necho " + client.text() + "\n";
                             }});
        service->bind(address);
        group.spawn(service->executor(), [this] { return service->run(); });
        thread = std::thread{[this] { runtime.run(); }};
    }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;
    ~Serving() { stop(); }

    void stop() {
        if (!thread.joinable()) return;
        group.cancel();
        asio::co_spawn(runtime.executor(), [this] { return group.join(); }, asio::use_future).get();
        runtime.stop();
        thread.join();
    }
    std::uint64_t count(std::string_view name) { return counters.counter(name).value(); }

    ScratchFolder root, distribution;
    storage::BootFiles files{root.path(), {distribution.path()}};
    boot::CurrentCatalog catalog{std::make_shared<const boot::Catalog>()};
    boot::AddressBook addresses;
    CounterRegistry counters;
    Observed observed;
    Runtime runtime{2};
    TaskGroup group{runtime.executor(), "test"};
    std::optional<TftpService> service;
    std::thread thread;
};

struct Datagram {
    std::string bytes;
    sockaddr_in from{};

    [[nodiscard]] wire::Packet packet() const {
        const auto decoded = wire::decode(as_bytes(bytes));
        REQUIRE(decoded.has_value());
        return *decoded;
    }
    template<class T>
    [[nodiscard]] T as() const {
        const wire::Packet any = packet();
        REQUIRE(std::holds_alternative<T>(any));
        return std::get<T>(any);
    }
};

/// One UDP socket on loopback.
class Client {
 public:
    explicit Client(const Serving& serving, Ipv4Address server = loopback) : socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
        REQUIRE(socket_ >= 0);
        const timeval limit{.tv_sec = 10, .tv_usec = 0};  // only a failing test waits so long
        REQUIRE(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
        server_.sin_family = AF_INET;
        server_.sin_addr.s_addr = htonl(server.value);
        server_.sin_port = htons(serving.service->port());
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { ::close(socket_); }

    [[nodiscard]] const sockaddr_in& server() const noexcept { return server_; }
    void ask(std::string_view bytes) { say(bytes, server_); }
    void say(std::string_view bytes, const sockaddr_in& to) {
        REQUIRE(::sendto(socket_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) ==
                static_cast<ssize_t>(bytes.size()));
    }
    void acknowledge(std::uint16_t block, const sockaddr_in& to) {
        std::array<std::byte, 4> ack{};
        store_be<std::uint16_t>(ack, 0, 4);
        store_be(ack, 2, block);
        say(as_text(ack), to);
    }
    Datagram hear() {
        auto heard = hear(0);
        REQUIRE_MESSAGE(heard.has_value(), "the server said nothing");
        return *std::move(heard);
    }
    /// What is there already.
    std::optional<Datagram> overhear() { return hear(MSG_DONTWAIT); }

    /// The whole transfer that a request begins, as a good client does it.
    std::string fetch(std::string_view request, std::uint16_t blksize = 512, std::uint16_t windowsize = 1) {
        ask(request);
        std::string file;
        std::uint16_t taken = 0;
        unsigned in_window = 0;
        while (true) {
            const Datagram heard = hear();
            const wire::Packet packet = heard.packet();
            if (std::holds_alternative<wire::Oack>(packet)) {
                acknowledge(0, heard.from);
                continue;
            }
            REQUIRE(std::holds_alternative<wire::Data>(packet));
            const auto& data = std::get<wire::Data>(packet);
            if (data.block != static_cast<std::uint16_t>(taken + 1)) continue;
            ++taken;
            file += as_text(data.bytes);
            const bool last = data.bytes.size() < blksize;
            if (last || ++in_window == windowsize) {
                in_window = 0;
                acknowledge(taken, heard.from);
            }
            if (last) return file;
        }
    }

 private:
    std::optional<Datagram> hear(int flags) {
        Datagram datagram{.bytes = std::string(70'000, '\0')};
        socklen_t length = sizeof datagram.from;
        const ssize_t n =
            ::recvfrom(socket_, datagram.bytes.data(), datagram.bytes.size(), flags, reinterpret_cast<sockaddr*>(&datagram.from), &length);
        if (n < 0) return std::nullopt;
        datagram.bytes.resize(static_cast<std::size_t>(n));
        return datagram;
    }

    int socket_;
    sockaddr_in server_{};
};

}  // namespace diskless::tftp
