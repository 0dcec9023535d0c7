// Login dialogues through the pure machine: the key sets of real initiators, and what must be refused at each step.
#include <doctest/doctest.h>

#include "services/iscsi/login.hpp"
#include "tests/support/raw_initiator.hpp"

using namespace diskless;
using namespace diskless::iscsi;
using test::Keys;
using wire::LoginRequest;
using wire::LoginStatus;
using wire::Stage;

namespace {

struct Door : Admission {
    LoginStatus status = LoginStatus::success;
    LoginIdentity asked;
    int times = 0;
    Welcome admit(const LoginIdentity& identity) override {
        asked = identity;
        ++times;
        return {.status = status};
    }
    void authentication_failed(std::string_view, std::string_view) override {}
};

std::string text(const Keys& keys) { return std::string{as_text(test::text_segment(keys))}; }
std::string value_of(const std::string& answer, std::string_view key) {
    const auto keys = wire::parse_text(answer);
    REQUIRE(keys);
    return std::string{wire::find_key(*keys, key).value_or("(none)")};
}

const Keys names{
    {"InitiatorName", "iqn.2026-11.lan.test.initiator:desk-01"}, {"TargetName", "iqn.2026-11.lan.test:desk-01"}, {"SessionType", "Normal"}};
Keys with_names(Keys further) {
    Keys all = names;
    all.insert(all.end(), further.begin(), further.end());
    return all;
}

// As their sources send them (facts: iPXE, OVMF, open-iscsi 2.1, libiscsi 1.19).
const Keys ipxe{{"HeaderDigest", "None"},       {"DataDigest", "None"},        {"MaxConnections", "1"},
                {"InitialR2T", "Yes"},          {"ImmediateData", "No"},       {"MaxRecvDataSegmentLength", "8192"},
                {"MaxBurstLength", "262144"},   {"FirstBurstLength", "65536"}, {"DefaultTime2Wait", "0"},
                {"DefaultTime2Retain", "0"},    {"MaxOutstandingR2T", "1"},    {"DataPDUInOrder", "Yes"},
                {"DataSequenceInOrder", "Yes"}, {"ErrorRecoveryLevel", "0"}};
const Keys ovmf{{"HeaderDigest", "None,CRC32"}, {"DataDigest", "None"},         {"ErrorRecoveryLevel", "0"},
                {"InitialR2T", "No"},           {"ImmediateData", "Yes"},       {"MaxRecvDataSegmentLength", "65536"},
                {"MaxBurstLength", "262144"},   {"FirstBurstLength", "131072"}, {"MaxConnections", "1"},
                {"DataPDUInOrder", "Yes"},      {"DataSequenceInOrder", "Yes"}, {"DefaultTime2Wait", "2"},
                {"DefaultTime2Retain", "0"},    {"MaxOutstandingR2T", "1"}};
const Keys linux_keys{{"HeaderDigest", "None"},
                      {"DataDigest", "None"},
                      {"DefaultTime2Wait", "2"},
                      {"DefaultTime2Retain", "0"},
                      {"IFMarker", "No"},
                      {"OFMarker", "No"},
                      {"ErrorRecoveryLevel", "0"},
                      {"InitialR2T", "No"},
                      {"ImmediateData", "Yes"},
                      {"MaxBurstLength", "16776192"},
                      {"FirstBurstLength", "262144"},
                      {"MaxOutstandingR2T", "1"},
                      {"MaxConnections", "1"},
                      {"DataPDUInOrder", "Yes"},
                      {"DataSequenceInOrder", "Yes"},
                      {"MaxRecvDataSegmentLength", "262144"}};
const Keys libiscsi{{"HeaderDigest", "CRC32C,None"},
                    {"DataDigest", "None"},
                    {"InitialR2T", "No"},
                    {"ImmediateData", "Yes"},
                    {"MaxBurstLength", "262144"},
                    {"FirstBurstLength", "262144"},
                    {"MaxRecvDataSegmentLength", "262144"},
                    {"DataPDUInOrder", "Yes"},
                    {"DataSequenceInOrder", "Yes"},
                    {"DefaultTime2Wait", "2"},
                    {"DefaultTime2Retain", "0"},
                    {"IFMarker", "No"},
                    {"OFMarker", "No"},
                    {"MaxConnections", "1"},
                    {"MaxOutstandingR2T", "1"},
                    {"ErrorRecoveryLevel", "0"},
                    {"X-reconnect", "OK"}};

LoginRequest security(bool transit = true) {
    return {.transit = transit,
            .current_stage = Stage::security_negotiation,
            .next_stage = Stage::login_operational_negotiation,
            .cmd_sn = 7,
            .exp_stat_sn = 3};
}
LoginRequest operational(bool transit = true) {
    return {.transit = transit,
            .current_stage = Stage::login_operational_negotiation,
            .next_stage = Stage::full_feature_phase,
            .cmd_sn = 7,
            .exp_stat_sn = 3};
}

struct Dialogue {
    Door door;
    Login login{Limits{}};
    LoginReply say(const LoginRequest& request, const Keys& keys) { return login.receive(request, text(keys), door); }
    void both_stages(const Keys& keys) {
        const auto first = say(security(), with_names({{"AuthMethod", "CHAP,None"}}));
        REQUIRE(first.next == LoginReply::Next::respond);
        CHECK(first.response.transit);
        CHECK(first.response.next_stage == Stage::login_operational_negotiation);
        CHECK(value_of(first.text, "AuthMethod") == "None");
        CHECK(value_of(first.text, "TargetPortalGroupTag") == "1");
        REQUIRE(say(operational(), keys).next == LoginReply::Next::complete);
        last = login.finish(9);
        CHECK(last.response.transit);
        CHECK(last.response.next_stage == Stage::full_feature_phase);
        CHECK(last.response.tsih == 9);
        CHECK(last.response.status == LoginStatus::success);
        CHECK(last.response.numbers.stat_sn == first.response.numbers.stat_sn + 1);
        CHECK(last.response.numbers.exp_cmd_sn == 7);
        CHECK(door.times == 1);
    }
    LoginReply last;
};

}  // namespace

TEST_CASE("iPXE") {
    Dialogue d;
    d.both_stages(ipxe);
    CHECK(value_of(d.last.text, "InitialR2T") == "Yes");
    CHECK(value_of(d.last.text, "ImmediateData") == "No");
    CHECK(value_of(d.last.text, "FirstBurstLength") == "65536");
    CHECK(value_of(d.last.text, "MaxRecvDataSegmentLength") == "262144");  // ours; its own is only declared
    CHECK(d.login.parameters().initiator_max_recv_data_segment_length == 8192);
    CHECK_FALSE(d.login.parameters().immediate_data);
}

TEST_CASE("OVMF's own initiator") {
    Dialogue d;
    d.both_stages(ovmf);
    CHECK(value_of(d.last.text, "HeaderDigest") == "None");
    CHECK(value_of(d.last.text, "InitialR2T") == "No");
    CHECK(value_of(d.last.text, "FirstBurstLength") == "131072");
}

TEST_CASE("Linux open-iscsi") {
    Dialogue d;
    d.both_stages(linux_keys);
    CHECK(value_of(d.last.text, "MaxBurstLength") == "1048576");
    CHECK(value_of(d.last.text, "IFMarker") == "No");
    CHECK(value_of(d.last.text, "DefaultTime2Wait") == "2");
    CHECK(value_of(d.last.text, "DefaultTime2Retain") == "0");
    CHECK_FALSE(d.login.parameters().initial_r2t);
    CHECK(d.login.parameters().immediate_data);
    CHECK(d.login.parameters().initiator_max_recv_data_segment_length == 262144);
}

TEST_CASE("libiscsi, which prefers digests") {
    Dialogue d;
    d.both_stages(libiscsi);
    CHECK(value_of(d.last.text, "HeaderDigest") == "CRC32C");
    CHECK(d.login.parameters().digests == wire::Digests{.header = true});
    CHECK(value_of(d.last.text, "X-reconnect") == "NotUnderstood");
}

TEST_CASE("every key of the table") {
    struct Row {
        const char *key = nullptr, *offer = nullptr, *answer = nullptr;
        SessionType type = SessionType::normal;
    };
    for (const Row& row : {Row{"HeaderDigest", "CRC32C,None", "CRC32C"},
                           Row{"DataDigest", "None,CRC32C", "None"},
                           Row{"DataDigest", "CRC32", "Reject"},
                           Row{"MaxConnections", "8", "1"},
                           Row{"MaxConnections", "0", "Reject"},
                           Row{"InitialR2T", "No", "No"},
                           Row{"InitialR2T", "maybe", "Reject"},
                           Row{"ImmediateData", "Yes", "Yes"},
                           Row{"MaxRecvDataSegmentLength", "511", "Reject"},
                           Row{"MaxRecvDataSegmentLength", "16777215", "(none)"},
                           Row{"MaxRecvDataSegmentLength", "16777216", "Reject"},
                           Row{"MaxBurstLength", "512", "512"},
                           Row{"FirstBurstLength", "0x400", "1024"},
                           Row{"DefaultTime2Wait", "1", "2"},
                           Row{"DefaultTime2Wait", "3600", "3600"},
                           Row{"DefaultTime2Wait", "3601", "Reject"},
                           Row{"DefaultTime2Retain", "20", "0"},
                           Row{"MaxOutstandingR2T", "65535", "4"},
                           Row{"MaxOutstandingR2T", "65536", "Reject"},
                           Row{"DataPDUInOrder", "No", "Yes"},
                           Row{"DataSequenceInOrder", "No", "Yes"},
                           Row{"ErrorRecoveryLevel", "2", "0"},
                           Row{"ErrorRecoveryLevel", "3", "Reject"},
                           Row{"TaskReporting", "FastAbort,RFC3720", "RFC3720"},
                           Row{"TaskReporting", "FastAbort", "Reject"},
                           Row{"iSCSIProtocolLevel", "2", "1"},
                           Row{"IFMarker", "Yes", "No"},
                           Row{"OFMarkInt", "2048~8192", "Reject"},
                           Row{"InitiatorAlias", "x", "(none)"},
                           Row{"SendTargets", "All", "Reject"},
                           Row{"TargetAddress", "x", "Reject"},
                           Row{"com.example.Key", "1", "NotUnderstood"},
                           Row{"MaxBurstLength", "512", "Irrelevant", SessionType::discovery},
                           Row{"InitialR2T", "No", "Irrelevant", SessionType::discovery},
                           Row{"HeaderDigest", "None", "None", SessionType::discovery}}) {
        CAPTURE(row.key);
        CAPTURE(row.offer);
        Negotiation negotiation{Limits{}, row.type};
        CHECK(negotiation.answer(row.key, row.offer, NegotiationPhase::login).value_or("(none)") == row.answer);
    }
    Negotiation later{Limits{}, SessionType::normal};
    CHECK(later.answer("MaxRecvDataSegmentLength", "4096", NegotiationPhase::full_feature).value_or("(none)") == "(none)");
    CHECK(later.answer("HeaderDigest", "CRC32C", NegotiationPhase::full_feature) == "Reject");
}

TEST_CASE("FirstBurstLength never exceeds MaxBurstLength, whichever comes first") {
    for (const Keys& keys : {Keys{{"FirstBurstLength", "65536"}, {"MaxBurstLength", "4096"}},
                             Keys{{"MaxBurstLength", "4096"}, {"FirstBurstLength", "65536"}}}) {
        Dialogue d;
        d.both_stages(keys);
        CHECK(value_of(d.last.text, "FirstBurstLength") == "4096");
    }
}

TEST_CASE("keys in several requests, the C bit, and requests without keys") {
    Dialogue d;
    const std::string whole = text(with_names({{"InitialR2T", "No"}}));
    auto request = operational(false);
    request.continues = true;
    for (std::size_t at = 0; at < whole.size(); at += 10) {
        const auto reply = d.login.receive(request, std::string_view{whole}.substr(at, 10), d.door);
        CHECK(reply.next == LoginReply::Next::respond);
        CHECK(reply.text.empty());
        CHECK_FALSE(reply.response.transit);
    }
    CHECK(d.door.times == 0);
    CHECK(value_of(d.say(operational(false), {}).text, "InitialR2T") == "No");
    CHECK(value_of(d.say(operational(false), {{"ImmediateData", "No"}}).text, "ImmediateData") == "No");
    CHECK(d.say(operational(), {}).next == LoginReply::Next::complete);
    CHECK(d.door.asked.target_name == "iqn.2026-11.lan.test:desk-01");
}

TEST_CASE("refused, with the right status") {
    Dialogue d;
    const auto refusal = [&](const LoginRequest& request, const Keys& keys) {
        const auto reply = d.say(request, keys);
        CHECK(reply.next == LoginReply::Next::refuse);
        CHECK_FALSE(reply.reason.empty());
        CHECK_FALSE(reply.response.transit);
        return reply.response.status;
    };
    SUBCASE("no initiator") { CHECK(refusal(operational(), {{"TargetName", "iqn.x"}}) == LoginStatus::missing_parameter); }
    SUBCASE("no target") { CHECK(refusal(operational(), {{"InitiatorName", "iqn.x"}}) == LoginStatus::missing_parameter); }
    SUBCASE("an unknown session type") {
        CHECK(refusal(operational(), {{"InitiatorName", "iqn.x"}, {"SessionType", "Odd"}}) == LoginStatus::session_type_not_supported);
    }
    SUBCASE("a key twice") {
        CHECK(refusal(operational(), with_names({{"InitialR2T", "No"}, {"InitialR2T", "No"}})) == LoginStatus::initiator_error);
    }
    SUBCASE("a key twice, in two requests") {
        REQUIRE(d.say(operational(false), with_names({{"InitialR2T", "No"}})).next == LoginReply::Next::respond);
        CHECK(refusal(operational(), {{"InitialR2T", "No"}}) == LoginStatus::initiator_error);
    }
    SUBCASE("a version of the future") {
        auto request = operational();
        request.version_max = request.version_min = 1;
        CHECK(refusal(request, names) == LoginStatus::unsupported_version);
    }
    SUBCASE("only authentication that we do not have") {
        CHECK(refusal(security(), with_names({{"AuthMethod", "KRB5"}})) == LoginStatus::authentication_failure);
    }
    SUBCASE("not admitted") {
        d.door.status = LoginStatus::authorization_failure;
        CHECK(refusal(operational(), names) == LoginStatus::authorization_failure);
    }
    SUBCASE("T and C together") {
        auto request = operational();
        request.continues = true;
        CHECK(refusal(request, names) == LoginStatus::initiator_error);
    }
    SUBCASE("a step backwards") {
        REQUIRE(d.say(operational(false), names).next == LoginReply::Next::respond);
        CHECK(refusal(security(), {}) == LoginStatus::initiator_error);
    }
    SUBCASE("a reserved stage") {
        auto request = operational();
        request.next_stage = Stage::reserved;
        CHECK(refusal(request, names) == LoginStatus::initiator_error);
    }
    SUBCASE("a login that begins in full feature phase") {
        auto request = operational(false);
        request.current_stage = Stage::full_feature_phase;
        CHECK(refusal(request, names) == LoginStatus::initiator_error);
    }
    SUBCASE("another ISID in the middle") {
        REQUIRE(d.say(operational(false), names).next == LoginReply::Next::respond);
        auto request = operational();
        request.isid.octets[0] = std::byte{1};
        CHECK(refusal(request, {}) == LoginStatus::initiator_error);
    }
    SUBCASE("text without end") {
        auto request = operational(false);
        request.continues = true;
        const Keys flood{{"K", std::string(4000, 'x')}};
        LoginReply reply;
        for (unsigned at = 0; at < 9; ++at) reply = d.say(request, flood);
        CHECK(reply.response.status == LoginStatus::initiator_error);
    }
}

TEST_CASE("discovery needs no target, and straight from security to full feature is allowed") {
    Dialogue d;
    auto request = security();
    request.next_stage = Stage::full_feature_phase;
    CHECK(d.say(request, {{"InitiatorName", "iqn.x"}, {"SessionType", "Discovery"}, {"AuthMethod", "None"}}).next ==
          LoginReply::Next::complete);
    CHECK(d.login.identity().type == SessionType::discovery);
    CHECK(d.login.finish(1).text.find("TargetPortalGroupTag") == std::string::npos);
}
