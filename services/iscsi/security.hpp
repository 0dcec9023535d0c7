// The security stage of a login as one step with its own state (RFC 7143 9.2, 12): AuthMethod is negotiated here, between None and CHAP,
// and CHAP's own keys go on to its exchange. What is demanded comes in, once it is known to whom the initiator wants.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "services/iscsi/chap.hpp"
#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {

/// What an initiator has to prove before it may use what it asked for.
struct SecurityDemand {
    bool chap = false;
    std::vector<boot::ChapAccount> accounts;  ///< any of them will do; none: nobody gets in
    std::vector<ChapAlgorithm> algorithms;
    ChapChallenge challenge;
};

class SecurityNegotiation {
 public:
    enum class Outcome : std::uint8_t {
        in_progress,    ///< keys are still to come
        authenticated,  ///< the initiator may leave the stage
        failed,         ///< no method in common, or the proof was wrong
    };

    /// Before the first receive().
    void demand(SecurityDemand demand);
    /// Reads the keys of this stage, appends our answers to `answer`.
    [[nodiscard]] Outcome receive(const std::vector<wire::TextKey>& keys, std::string& answer);
    /// The keys that belong to this stage and to nobody else.
    [[nodiscard]] static bool owns(std::string_view key) noexcept;
    /// Whether an initiator that leaves now, or never came, has done enough.
    [[nodiscard]] bool satisfied() const noexcept { return outcome_ == Outcome::authenticated; }
    /// Why it failed, for the log; static.
    [[nodiscard]] std::string_view failure() const noexcept { return failure_; }
    /// As the initiator calls itself; empty: unknown.
    [[nodiscard]] std::string_view user() const noexcept { return exchange_ ? std::string_view{exchange_->user()} : std::string_view{}; }

 private:
    [[nodiscard]] Outcome choose(std::string_view methods, std::string& answer);
    [[nodiscard]] Outcome fail(std::string_view why) noexcept;

    SecurityDemand demand_;
    std::optional<ChapExchange> exchange_;      // CHAP has been chosen
    Outcome outcome_ = Outcome::authenticated;  // of nobody is anything demanded, until demand() says so
    std::string_view failure_;
};

}  // namespace diskless::iscsi
