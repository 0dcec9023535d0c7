// The command window: ExpCmdSN, MaxCmdSN and what a request's CmdSN means for it (RFC 7143 4.2.2.1). Pure, serial number arithmetic.
#pragma once

#include <cstdint>

namespace diskless::iscsi {

/// RFC 1982 with 32 bits.
[[nodiscard]] constexpr bool serial_less(std::uint32_t a, std::uint32_t b) noexcept { return static_cast<std::int32_t>(a - b) < 0; }

class CommandWindow {
 public:
    /// `cmd_sn`: what the first command will carry; `depth`: commands in flight at most.
    CommandWindow(std::uint32_t cmd_sn, std::uint32_t depth) noexcept : exp_cmd_sn_{cmd_sn}, depth_{depth} {}

    enum class Verdict : std::uint8_t {
        accept,  ///< in order: ExpCmdSN has moved on (or the request is immediate and moves nothing)
        drop,    ///< outside the window: silently ignored
        gap,     ///< inside the window, but a request before it is missing. On the one connection of a session without error
                 ///< recovery it can never come: the session is lost
    };
    [[nodiscard]] Verdict receive(std::uint32_t cmd_sn, bool immediate) noexcept {
        if (serial_less(cmd_sn, exp_cmd_sn_) || serial_less(max_cmd_sn(), cmd_sn)) {
            // An immediate request carries the number that the next ordinary one will have; a closed window does not hold it back.
            return immediate && cmd_sn == exp_cmd_sn_ ? Verdict::accept : Verdict::drop;
        }
        if (cmd_sn != exp_cmd_sn_) return immediate ? Verdict::accept : Verdict::gap;
        if (!immediate) ++exp_cmd_sn_;
        return Verdict::accept;
    }

    /// A task takes a place in the window, and gives it back when its status leaves. MaxCmdSN never goes backwards: a place is taken by
    /// a request that has just moved ExpCmdSN on.
    void task_started() noexcept { ++in_flight_; }
    void task_ended() noexcept { --in_flight_; }

    [[nodiscard]] std::uint32_t exp_cmd_sn() const noexcept { return exp_cmd_sn_; }
    [[nodiscard]] std::uint32_t max_cmd_sn() const noexcept {
        const std::uint32_t free = in_flight_ < depth_ ? depth_ - in_flight_ : 0;
        return exp_cmd_sn_ + free - 1;
    }
    [[nodiscard]] std::uint32_t in_flight() const noexcept { return in_flight_; }

 private:
    std::uint32_t exp_cmd_sn_;
    std::uint32_t depth_;
    std::uint32_t in_flight_ = 0;
};

}  // namespace diskless::iscsi
