// Session: performs what a Transfer says. One strand, one UDP socket whose port is the transfer's identifier (RFC 1350 4); or, for
// firewalls, the well-known port for all of them.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <variant>

#include "common/asio.hpp"
#include "services/tftp/burst.hpp"
#include "services/tftp/content.hpp"
#include "services/tftp/transfer.hpp"

namespace diskless::tftp {

class Session : public std::enable_shared_from_this<Session> {
 public:
    /// Whether somebody else receives at the same port, and delivers what is for this session.
    enum class Port : std::uint8_t { own, shared };
    /// `socket` does not block; its executor is the session's strand.
    Session(asio::ip::udp::socket socket, Port port, asio::ip::udp::endpoint client, Content content, const wire::Options& asked,
            const TransferLimits& limits);

    enum class Outcome : std::uint8_t { done, client_aborted, gave_up, failed, stopped };
    asio::awaitable<Outcome> run();
    [[nodiscard]] std::uint64_t size_bytes() const noexcept { return content_.size_bytes(); }

    /// From any thread: makes run() end soon, without another packet.
    void stop();
    /// From any thread, of a shared port: the client has sent this.
    void deliver(std::vector<std::byte> datagram);
    /// Datagrams that wait at a time; a client that sends more without an answer loses them.
    static constexpr std::size_t max_waiting = 64;
    /// From any thread: the client was heard once and then no more for a whole timeout, or the transfer is over. Whoever asks anew from
    /// its port now is no echo of its request.
    [[nodiscard]] bool is_forsaken() const noexcept;

 private:
    using Clock = std::chrono::steady_clock;
    using Next = std::variant<Transfer::Action, Outcome>;

    asio::awaitable<Next> perform(Transfer::Action action);
    /// What to do after a packet from the client, or silence.
    asio::awaitable<Next> next();
    /// Of a shared port: the next datagram; nothing: silence, or the end.
    asio::awaitable<std::optional<std::vector<std::byte>>> delivered();
    /// Silence until then ends the receiving that is under way.
    void expect_until(Clock::time_point deadline);
    void watch();
    /// What a datagram of the client means; nothing: it means nothing.
    [[nodiscard]] std::optional<Next> obey(ByteSpan datagram);
    asio::awaitable<void> send_oack();
    asio::awaitable<void> send_error(asio::ip::udp::endpoint to, wire::ErrorCode code, std::string_view text);
    /// False: the content cannot be read.
    asio::awaitable<bool> send_blocks(std::uint64_t first, std::uint64_t count);
    /// Blocks that fit one burst, each behind its header.
    [[nodiscard]] bool fill(std::uint64_t first, std::uint64_t count);

    asio::ip::udp::socket socket_;
    Port port_;
    std::deque<std::vector<std::byte>> inbox_;  // of a shared port
    asio::steady_timer arrival_;
    asio::ip::udp::endpoint client_;
    Content content_;
    Transfer transfer_;
    Burst burst_;
    std::vector<std::byte> packets_;
    asio::steady_timer watch_;
    Clock::time_point deadline_;
    bool is_watched_ = false;
    bool silent_ = false;               // until deadline_ nothing came
    std::atomic<Clock::rep> heard_{0};  // when the client last acknowledged something; 0: never
    std::atomic<bool> over_{false};
};

}  // namespace diskless::tftp
