#include "services/iscsi/negotiation.hpp"

#include <algorithm>
#include <array>

#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {
namespace {

using Answer = std::optional<std::string>;

constexpr std::uint32_t max_24_bits = 0xffffff;

/// Everything a rule may look at and change.
struct Context {
    Parameters& parameters;
    const Limits& limits;
};
using Handler = Answer (*)(std::string_view value, Context context);

struct Rule {
    std::string_view key;
    Handler handle;
    bool irrelevant_in_discovery = false;
    bool in_full_feature = false;  ///< may be renegotiated there
};

Answer reject() { return std::string{answer_reject}; }

std::string print(bool yes) { return yes ? "Yes" : "No"; }

std::optional<bool> boolean(std::string_view value) noexcept {
    if (value == "Yes") return true;
    if (value == "No") return false;
    return std::nullopt;
}

std::optional<std::uint32_t> in_range(std::string_view value, std::uint32_t lowest, std::uint32_t highest) noexcept {
    const auto number = wire::parse_number(value);
    if (!number || *number < lowest || *number > highest) return std::nullopt;
    return number;
}

/// The result of a numerical key whose function is "minimum".
template<class Field>
Answer minimum(std::string_view value, std::uint32_t lowest, std::uint32_t highest, std::uint32_t ours, Field& field) {
    const auto offer = in_range(value, lowest, highest);
    if (!offer) return reject();
    field = static_cast<Field>(std::min(*offer, ours));
    return std::to_string(field);
}

/// "OR": either side's Yes decides; "AND": both must say Yes.
Answer logical_or(std::string_view value, bool ours, bool& field) {
    const auto offer = boolean(value);
    if (!offer) return reject();
    field = *offer || ours;
    return print(field);
}
Answer logical_and(std::string_view value, bool ours, bool& field) {
    const auto offer = boolean(value);
    if (!offer) return reject();
    field = *offer && ours;
    return print(field);
}

/// The first item of the initiator's list that we have.
Answer choose_digest(std::string_view value, bool& field) {
    while (!value.empty()) {
        const std::string_view item = wire::take_item(value);
        if (item != "None" && item != "CRC32C") continue;
        field = item == "CRC32C";
        return std::string{item};
    }
    return reject();
}

Answer choose(std::string_view value, std::string_view ours) {
    while (!value.empty()) {
        if (wire::take_item(value) == ours) return std::string{ours};
    }
    return reject();
}

Answer max_recv(std::string_view value, Context c) {
    const auto declared = in_range(value, 512, max_24_bits);
    if (!declared) return reject();
    c.parameters.initiator_max_recv_data_segment_length = *declared;
    return std::nullopt;
}

Answer max_connections(std::string_view value, Context) {
    std::uint16_t agreed = 1;
    return minimum(value, 1, 65535, 1, agreed);
}

Answer time2wait(std::string_view value, Context c) {
    const auto offer = in_range(value, 0, 3600);
    if (!offer) return reject();
    c.parameters.default_time2wait_s = static_cast<std::uint16_t>(std::max<std::uint32_t>(*offer, c.parameters.default_time2wait_s));
    return std::to_string(c.parameters.default_time2wait_s);
}

// Error recovery level 0 retains nothing, so the time is zero whatever is offered.
Answer time2retain(std::string_view value, Context c) { return minimum(value, 0, 3600, 0, c.parameters.default_time2retain_s); }

Answer first_burst(std::string_view value, Context c) {
    const std::uint32_t ours = std::min(c.limits.first_burst_length, c.parameters.max_burst_length);
    return minimum(value, 512, max_24_bits, ours, c.parameters.first_burst_length);
}

Answer protocol_level(std::string_view value, Context) {
    std::uint8_t agreed = 0;
    return minimum(value, 0, 31, 1, agreed);
}

Answer nothing(std::string_view, Context) { return std::nullopt; }
Answer refuse_value(std::string_view, Context) { return reject(); }
Answer no(std::string_view, Context) { return std::string{"No"}; }

constexpr std::array rules = {
    Rule{"HeaderDigest", [](std::string_view v, Context c) { return choose_digest(v, c.parameters.digests.header); }},
    Rule{"DataDigest", [](std::string_view v, Context c) { return choose_digest(v, c.parameters.digests.data); }},
    Rule{"MaxRecvDataSegmentLength", max_recv, false, true},
    Rule{"MaxConnections", max_connections, true},
    Rule{"InitialR2T", [](std::string_view v, Context c) { return logical_or(v, false, c.parameters.initial_r2t); }, true},
    Rule{"ImmediateData", [](std::string_view v, Context c) { return logical_and(v, true, c.parameters.immediate_data); }, true},
    Rule{"MaxBurstLength",
         [](std::string_view v, Context c) {
             return minimum(v, 512, max_24_bits, c.limits.max_burst_length, c.parameters.max_burst_length);
         },
         true},
    Rule{"FirstBurstLength", first_burst, true},
    Rule{"MaxOutstandingR2T",
         [](std::string_view v, Context c) { return minimum(v, 1, 65535, c.limits.max_outstanding_r2t, c.parameters.max_outstanding_r2t); },
         true},
    Rule{"DataPDUInOrder", [](std::string_view v, Context c) { return logical_or(v, true, c.parameters.data_pdu_in_order); }, true},
    Rule{"DataSequenceInOrder", [](std::string_view v, Context c) { return logical_or(v, true, c.parameters.data_sequence_in_order); },
         true},
    Rule{"ErrorRecoveryLevel", [](std::string_view v, Context c) { return minimum(v, 0, 2, 0, c.parameters.error_recovery_level); }},
    Rule{"DefaultTime2Wait", time2wait},
    Rule{"DefaultTime2Retain", time2retain},
    Rule{"TaskReporting", [](std::string_view v, Context) { return choose(v, "RFC3720"); }, true},
    Rule{"iSCSIProtocolLevel", protocol_level, true},
    // Obsolete markers (RFC 7143 13.25): known, and not wanted.
    Rule{"IFMarker", no},
    Rule{"OFMarker", no},
    Rule{"IFMarkInt", refuse_value},
    Rule{"OFMarkInt", refuse_value},
    // Declarations that login has read by itself.
    Rule{"InitiatorName", nothing},
    Rule{"InitiatorAlias", nothing, false, true},
    Rule{"TargetName", nothing},
    Rule{"SessionType", nothing},
    // Known, but never an initiator's to offer here.
    Rule{"TargetAlias", refuse_value},
    Rule{"TargetAddress", refuse_value},
    Rule{"TargetPortalGroupTag", refuse_value},
    Rule{"SendTargets", refuse_value},
    Rule{"AuthMethod", refuse_value},
};

}  // namespace

void Negotiation::announce(std::string_view key, std::string_view value) noexcept {
    if (key != "MaxBurstLength") return;
    if (const auto offer = in_range(value, 512, max_24_bits)) {
        parameters_.max_burst_length = std::min(*offer, limits_.max_burst_length);
        parameters_.first_burst_length = std::min(parameters_.first_burst_length, parameters_.max_burst_length);
    }
}

std::optional<std::string> Negotiation::answer(std::string_view key, std::string_view value, NegotiationPhase phase) {
    const auto rule = std::ranges::find(rules, key, &Rule::key);
    if (rule == rules.end() && key.starts_with("CHAP_")) return reject();  // of the security stage, which is over
    if (rule == rules.end()) return std::string{answer_not_understood};
    if (phase == NegotiationPhase::full_feature && !rule->in_full_feature) return reject();
    if (rule->irrelevant_in_discovery && type_ == SessionType::discovery) return std::string{answer_irrelevant};
    return rule->handle(value, Context{parameters_, limits_});
}

}  // namespace diskless::iscsi
