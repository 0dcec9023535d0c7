// Negotiation of operational keys: one offer in, one answer out, the agreement kept in Parameters (RFC 7143 6.2, 13). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/iscsi/parameters.hpp"

namespace diskless::iscsi {

inline constexpr std::string_view answer_not_understood = "NotUnderstood";
inline constexpr std::string_view answer_irrelevant = "Irrelevant";
inline constexpr std::string_view answer_reject = "Reject";

enum class NegotiationPhase : std::uint8_t { login, full_feature };

class Negotiation {
 public:
    Negotiation(const Limits& limits, SessionType type, const Parameters& parameters = {}) noexcept
        : limits_{limits}, type_{type}, parameters_{parameters} {}

    /// What we answer to `key`=`value`; nothing for a key that only declares. The agreement is in parameters() at once.
    [[nodiscard]] std::optional<std::string> answer(std::string_view key, std::string_view value, NegotiationPhase phase);

    /// Keys depend on each other (FirstBurstLength on MaxBurstLength), whatever order a text has them in: tell it of all before answering.
    void announce(std::string_view key, std::string_view value) noexcept;
    /// Our own MaxRecvDataSegmentLength has been declared.
    void declared() noexcept { parameters_.target_max_recv_data_segment_length = limits_.max_recv_data_segment_length; }

    void set_type(SessionType type) noexcept { type_ = type; }
    [[nodiscard]] const Parameters& parameters() const noexcept { return parameters_; }

 private:
    Limits limits_;
    SessionType type_;
    Parameters parameters_;
};

}  // namespace diskless::iscsi
