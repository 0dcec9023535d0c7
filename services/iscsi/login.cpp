#include "services/iscsi/login.hpp"

#include <algorithm>
#include <utility>

namespace diskless::iscsi {

using wire::LoginStatus;
using wire::Stage;

namespace {

constexpr std::uint8_t protocol_version = 0;  // RFC 7143 11.12.4

bool is_stage_step(Stage current, Stage next) noexcept { return next != Stage::reserved && next > current; }

}  // namespace

wire::LoginResponse Login::response() {
    wire::LoginResponse r;
    r.current_stage = request_.current_stage;
    r.version_max = r.version_active = protocol_version;
    r.isid = request_.isid;
    r.tsih = request_.tsih;
    r.initiator_task_tag = request_.initiator_task_tag;
    r.numbers = {.stat_sn = stat_sn_++, .exp_cmd_sn = request_.cmd_sn, .max_cmd_sn = request_.cmd_sn + limits_.queue_depth - 1};
    return r;
}

LoginReply Login::refuse(LoginStatus status, std::string_view reason) {
    LoginReply reply{.next = LoginReply::Next::refuse, .response = response(), .reason = reason};
    reply.response.status = status;
    return reply;
}

LoginReply Login::unexpected(ByteSpan bhs) {
    request_.initiator_task_tag = wire::initiator_task_tag_of(bhs);
    return refuse(LoginStatus::invalid_during_login, "pdu_before_login");
}

LoginReply Login::finish(std::uint16_t tsih) {
    LoginReply reply{.next = LoginReply::Next::complete, .response = response(), .text = std::exchange(collected_, {})};
    reply.response.transit = true;
    reply.response.next_stage = Stage::full_feature_phase;
    reply.response.tsih = tsih;
    return reply;
}

std::optional<LoginReply> Login::wrong_header(const wire::LoginRequest& request) {
    const wire::LoginRequest before = std::exchange(request_, request);
    const bool first = !std::exchange(started_, true);
    if (first) {
        stage_ = request.current_stage;
        // Any number will do as our first StatSN; the one the initiator expects is the least surprising.
        stat_sn_ = request.exp_stat_sn;
    }
    if (request.version_min > protocol_version) return refuse(LoginStatus::unsupported_version, "version");
    if (request.transit && request.continues) return refuse(LoginStatus::initiator_error, "transit_with_continue");
    if (request.current_stage > Stage::login_operational_negotiation) return refuse(LoginStatus::initiator_error, "stage");
    if (request.transit && !is_stage_step(request.current_stage, request.next_stage))
        return refuse(LoginStatus::initiator_error, "next_stage");
    if (first) return std::nullopt;
    if (request.current_stage != stage_) return refuse(LoginStatus::initiator_error, "stage_out_of_order");
    if (request.isid != before.isid || request.tsih != before.tsih || request.cid != before.cid) {
        return refuse(LoginStatus::initiator_error, "identity_changed");
    }
    if (request.initiator_task_tag != before.initiator_task_tag) return refuse(LoginStatus::initiator_error, "task_tag_changed");
    if (request.cmd_sn != before.cmd_sn) return refuse(LoginStatus::initiator_error, "cmd_sn_changed");
    return std::nullopt;
}

LoginReply Login::receive(const wire::LoginRequest& request, std::string_view text, Admission& admission) {
    if (auto wrong = wrong_header(request)) return *std::move(wrong);
    if (collected_.size() + text.size() > limits_.max_text_bytes) return refuse(LoginStatus::initiator_error, "text_too_long");
    collected_ += text;
    if (request.continues) return {.response = response()};  // an empty response asks for the rest (RFC 7143 6.2)

    const std::string whole = std::exchange(collected_, {});
    const auto keys = wire::parse_text(whole);
    if (!keys) return refuse(LoginStatus::initiator_error, keys.error().reason);
    std::string answer;
    if (!identified_) {
        if (auto refused = begin(*keys, admission, answer)) return *std::move(refused);
    }
    if (auto refused = answer_keys(*keys, admission, answer)) return *std::move(refused);
    return advance(*keys, admission, std::move(answer));
}

// The leading request names initiator, session type and target (RFC 7143 6.3, 13.4-13.7, 13.21).
std::optional<LoginReply> Login::begin(const std::vector<wire::TextKey>& keys, Admission& admission, std::string& answer) {
    const auto value = [&](std::string_view key) { return std::string{wire::find_key(keys, key).value_or("")}; };
    identity_ = {.initiator_name = value("InitiatorName"),
                 .initiator_alias = value("InitiatorAlias"),
                 .target_name = value("TargetName"),
                 .isid = request_.isid,
                 .tsih = request_.tsih,
                 .cid = request_.cid};
    if (identity_.initiator_name.empty()) return refuse(LoginStatus::missing_parameter, "no_initiator_name");
    const auto type = wire::find_key(keys, "SessionType").value_or("Normal");
    if (type != "Normal" && type != "Discovery") return refuse(LoginStatus::session_type_not_supported, "session_type");
    identity_.type = type == "Normal" ? SessionType::normal : SessionType::discovery;
    negotiation_.set_type(identity_.type);
    if (identity_.type == SessionType::normal && identity_.target_name.empty()) {
        return refuse(LoginStatus::missing_parameter, "no_target_name");
    }
    if (identity_.type == SessionType::discovery) identity_.target_name.clear();
    Welcome welcome = admission.admit(identity_);
    if (welcome.status != LoginStatus::success) {
        LoginReply reply = refuse(welcome.status, welcome.reason);
        // RFC 7143 11.13.5: without the group's tag here, where the target is to be found.
        if (!welcome.moved_to.empty()) wire::append_text(reply.text, "TargetAddress", welcome.moved_to);
        return reply;
    }
    identified_ = true;
    security_.demand(std::move(welcome.demand));
    if (stage_ != Stage::security_negotiation && !security_.satisfied()) return unproven(admission, "security_stage_skipped");
    if (identity_.type == SessionType::normal) {
        wire::append_text(answer, "TargetPortalGroupTag", std::to_string(target_portal_group_tag));
    }
    return std::nullopt;
}

LoginReply Login::unproven(Admission& admission, std::string_view why) {
    admission.authentication_failed(why, security_.user());
    return refuse(LoginStatus::authentication_failure, why);
}

std::optional<LoginReply> Login::answer_keys(const std::vector<wire::TextKey>& keys, Admission& admission, std::string& answer) {
    for (const wire::TextKey& offer : keys) {
        // In one login a key is negotiated once; the exchange of an authentication method is its own affair.
        if (!seen_.emplace(offer.key).second) return refuse(LoginStatus::initiator_error, "key_twice");
        if (seen_.size() > wire::max_keys) return refuse(LoginStatus::initiator_error, "text_too_many_keys");
        negotiation_.announce(offer.key, offer.value);
    }
    const bool securing = stage_ == Stage::security_negotiation;
    if (securing && security_.receive(keys, answer) == SecurityNegotiation::Outcome::failed) {
        return unproven(admission, security_.failure());
    }
    for (const wire::TextKey& offer : keys) {
        if (securing && SecurityNegotiation::owns(offer.key)) continue;
        if (auto reply = negotiation_.answer(offer.key, offer.value, NegotiationPhase::login)) wire::append_text(answer, offer.key, *reply);
    }
    if (!securing && !std::exchange(declared_, true)) {
        negotiation_.declared();
        wire::append_text(answer, "MaxRecvDataSegmentLength", std::to_string(parameters().target_max_recv_data_segment_length));
    }
    return std::nullopt;
}

LoginReply Login::advance(const std::vector<wire::TextKey>& keys, Admission& admission, std::string answer) {
    if (!request_.transit) return {.response = response(), .text = std::move(answer)};
    if (!security_.satisfied()) {
        // T says that the initiator would be ready; our answer without T keeps it in the stage (RFC 7143 6.3). One that brings nothing
        // towards its proof will not bring it later.
        const bool proceeds = std::ranges::any_of(keys, [](const wire::TextKey& key) { return SecurityNegotiation::owns(key.key); });
        if (!proceeds) return unproven(admission, "not_authenticated");
        return {.response = response(), .text = std::move(answer)};
    }
    if (request_.next_stage == Stage::full_feature_phase) {
        collected_ = std::move(answer);  // leaves with finish()
        return {.next = LoginReply::Next::complete};
    }
    stage_ = request_.next_stage;
    LoginReply reply{.response = response(), .text = std::move(answer)};
    reply.response.transit = true;
    reply.response.next_stage = stage_;
    return reply;
}

}  // namespace diskless::iscsi
