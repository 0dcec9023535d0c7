// Transfer: one file on its way to one client, as a machine: events in, the next action out. Pure: it knows numbers of blocks, not their
// bytes, and no clock. A windowed sender (RFC 7440); without the option the window is one block, which is RFC 1350.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "services/tftp/wire/packet.hpp"

namespace diskless::tftp {

struct TransferLimits {
    std::uint16_t max_blksize = 65464;
    std::uint16_t max_windowsize = 64;
    std::chrono::milliseconds retransmit{1000};
    unsigned max_retransmits = 6;          ///< in a row without progress
    std::chrono::seconds max_timeout{30};  ///< a longer one is not agreed on: a client that is gone would hold its place for half an hour
};

class Transfer {
 public:
    /// `size_bytes` of the file; options as the client asked. What is agreed on is never above the limits.
    Transfer(std::uint64_t size_bytes, const wire::Options& asked, const TransferLimits& limits) noexcept;

    struct Action {
        enum class Kind : std::uint8_t {
            send_oack,    ///< oack(), then wait
            send_blocks,  ///< blocks first … first + count - 1 (from 1), then wait
            wait,         ///< nothing to send
            done,         ///< the client has everything
            give_up,      ///< the client is gone
        };
        Kind kind = Kind::wait;
        std::uint64_t first = 0;
        std::uint64_t count = 0;

        friend bool operator==(const Action&, const Action&) = default;
    };

    [[nodiscard]] Action start() noexcept;
    [[nodiscard]] Action on_ack(std::uint16_t block) noexcept;
    [[nodiscard]] Action on_timeout() noexcept;

    [[nodiscard]] const wire::Options& oack() const noexcept { return agreed_; }
    [[nodiscard]] std::uint16_t blksize() const noexcept { return blksize_; }
    [[nodiscard]] std::chrono::milliseconds timeout() const noexcept { return timeout_; }
    /// The bytes of a block: its offset in the file, and its length (only the last is short, and may be empty).
    [[nodiscard]] std::uint64_t offset_of(std::uint64_t block) const noexcept { return (block - 1) * blksize_; }
    [[nodiscard]] std::size_t length_of(std::uint64_t block) const noexcept;
    [[nodiscard]] std::uint64_t last_block() const noexcept { return size_bytes_ / blksize_ + 1; }
    /// Blocks are numbered without end; the wire carries 16 bits, and 65535 is followed by 0.
    [[nodiscard]] static std::uint16_t on_wire(std::uint64_t block) noexcept { return static_cast<std::uint16_t>(block); }

 private:
    /// A window from the first block that is not acknowledged, sent before or not.
    [[nodiscard]] Action send_window() noexcept;
    /// Only those of its blocks that were never sent.
    [[nodiscard]] Action extend_window() noexcept;

    std::uint64_t size_bytes_;
    wire::Options agreed_;
    std::uint16_t blksize_ = 512;
    std::uint16_t windowsize_ = 1;
    std::chrono::milliseconds timeout_;
    unsigned max_retransmits_;

    bool awaits_oack_ = false;
    std::uint64_t acked_ = 0;  // the last block the client has, with all before it
    std::uint64_t sent_ = 0;   // the last block ever sent
    unsigned retransmits_ = 0;
    std::uint64_t resent_ = 0;  // the last block ever sent again; 0: none was
};

}  // namespace diskless::tftp
