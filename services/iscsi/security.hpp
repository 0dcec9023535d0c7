// The security stage of a login as one step with its own state (RFC 7143 9.2, 12). AuthMethod=None is what there is; a method with an
// exchange of its own keys keeps its state here, between receive() calls, and the login machine does not notice.
#pragma once

#include <string>
#include <vector>

#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {

class SecurityNegotiation {
 public:
    enum class Outcome : std::uint8_t {
        in_progress,    ///< keys are still to come
        authenticated,  ///< the initiator may leave the stage
        failed,         ///< no method in common, or the proof was wrong
    };

    /// Reads the keys of this stage, appends our answers to `answer`.
    [[nodiscard]] Outcome receive(const std::vector<wire::TextKey>& keys, std::string& answer);
    /// The keys that belong to this stage and to nobody else.
    [[nodiscard]] static bool owns(std::string_view key) noexcept;
    /// Whether an initiator that leaves now, or never came, has done enough.
    [[nodiscard]] bool satisfied() const noexcept { return outcome_ == Outcome::authenticated; }

 private:
    Outcome outcome_ = Outcome::authenticated;  // nothing is demanded of anybody
};

}  // namespace diskless::iscsi
