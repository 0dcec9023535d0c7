// Session: performs what a Transfer says. One strand, one UDP socket whose port is the transfer's identifier (RFC 1350 4).
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "common/asio.hpp"
#include "common/counters.hpp"
#include "services/tftp/transfer.hpp"
#include "storage/boot_files.hpp"

namespace diskless::tftp {

/// What is sent: a file of the boot root, or a text made for this client.
class Content {
 public:
    explicit Content(storage::BootFile file) : source_{std::move(file)} {}
    explicit Content(std::string text) : source_{std::move(text)} {}

    [[nodiscard]] std::uint64_t size_bytes() const noexcept;
    [[nodiscard]] bool read(std::uint64_t offset_bytes, MutableByteSpan into) const noexcept;

 private:
    std::variant<storage::BootFile, std::string> source_;
};

class Session {
 public:
    Session(asio::ip::udp::socket socket, asio::ip::udp::endpoint client, Content content, const wire::Options& asked,
            const TransferLimits& limits);

    enum class Outcome : std::uint8_t { done, client_aborted, gave_up, failed, cancelled };
    asio::awaitable<Outcome> run();
    [[nodiscard]] std::uint64_t size_bytes() const noexcept { return content_.size_bytes(); }

 private:
    asio::awaitable<bool> send_blocks(std::uint64_t first, std::uint64_t count);
    asio::awaitable<bool> send_datagrams(std::span<std::byte> packets, std::size_t packet_bytes);
    asio::awaitable<bool> send(ByteSpan packet);
    [[nodiscard]] bool send_segmented(std::span<std::byte> packets, std::size_t packet_bytes) noexcept;
    /// The next thing to do, after a packet from the client or silence.
    asio::awaitable<std::variant<Transfer::Action, Outcome>> next();

    asio::ip::udp::socket socket_;
    asio::ip::udp::endpoint client_;
    Content content_;
    Transfer transfer_;
    std::vector<std::byte> packets_;
    bool segments_ = true;  // UDP_SEGMENT works on this path
};

}  // namespace diskless::tftp
