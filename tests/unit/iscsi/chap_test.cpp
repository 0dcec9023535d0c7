// CHAP: the algorithms against values made by another program, the values on the wire, and whole logins that prove something or do not.
#include <doctest/doctest.h>

#include "services/iscsi/login.hpp"
#include "tests/support/endpoint_lab.hpp"
#include "tests/support/raw_initiator.hpp"

using namespace diskless;
using namespace diskless::iscsi;
using test::Keys;
using wire::LoginStatus;
using wire::Stage;

namespace {

const std::vector<ChapAlgorithm> all_algorithms{ChapAlgorithm::md5, ChapAlgorithm::sha1, ChapAlgorithm::sha256, ChapAlgorithm::sha3_256};
constexpr std::uint8_t our_identifier = 0x2a;
constexpr std::string_view secret = "a-secret-of-20-bytes";
constexpr std::string_view target_secret = "what-the-target-says";

/// 10 11 12 … 2f
std::vector<std::byte> our_challenge() {
    std::vector<std::byte> bytes(32);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(0x10 + i);
    return bytes;
}

SecurityDemand a_demand() {
    return {
        .chap = true,
        .accounts = {{.user = "other", .secret = "another-secret-altogether", .target_user = {}, .target_secret = {}},
                     {.user = "desk", .secret = std::string{secret}, .target_user = "server", .target_secret = std::string{target_secret}}},
        .algorithms = all_algorithms,
        .challenge = {.identifier = our_identifier, .bytes = our_challenge()}};
}

std::string base64(ByteSpan bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text = "0b";
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::uint32_t three = 0;
        for (std::size_t i = 0; i < 3; ++i)
            three = three << 8 | (at + i < bytes.size() ? std::to_integer<std::uint32_t>(bytes[at + i]) : 0);
        for (std::size_t i = 0; i < 4; ++i) text += at + i > bytes.size() ? '=' : digits[three >> (18 - 6 * i) & 63];
    }
    return text;
}

struct Door : Admission {
    SecurityDemand demand = a_demand();
    std::string why, user;
    int failures = 0;
    Welcome admit(const LoginIdentity&) override { return {.demand = demand}; }
    void authentication_failed(std::string_view reason, std::string_view name) override {
        why = reason;
        user = name;
        ++failures;
    }
};

const Keys names{{"InitiatorName", "iqn.2026-11.lan.test.initiator:desk-01"}, {"TargetName", "iqn.2026-11.lan.test:desk-01"}};
Keys with_names(Keys further) {
    further.insert(further.begin(), names.begin(), names.end());
    return further;
}

wire::LoginRequest security(bool transit) {
    return {.transit = transit,
            .current_stage = Stage::security_negotiation,
            .next_stage = transit ? Stage::login_operational_negotiation : Stage::security_negotiation,
            .cmd_sn = 7};
}
wire::LoginRequest operational() {
    return {.transit = true, .current_stage = Stage::login_operational_negotiation, .next_stage = Stage::full_feature_phase, .cmd_sn = 7};
}

struct Dialogue {
    Door door;
    Login login{Limits{}};
    LoginReply say(const wire::LoginRequest& request, const Keys& keys) {
        return login.receive(request, as_text(test::text_segment(keys)), door);
    }
    /// Up to our challenge.
    std::string challenged(const std::string& algorithms = "5", const std::string& methods = "CHAP,None") {
        const auto first = say(security(false), with_names({{"AuthMethod", methods}}));
        REQUIRE(first.next == LoginReply::Next::respond);
        CHECK(value_of(first.text, "AuthMethod") == "CHAP");
        CHECK_FALSE(first.response.transit);
        const auto second = say(security(false), {{"CHAP_A", algorithms}});
        REQUIRE(second.next == LoginReply::Next::respond);
        return second.text;
    }
    void refused(const wire::LoginRequest& request, const Keys& keys, std::string_view why) {
        const auto reply = say(request, keys);
        CHECK(reply.next == LoginReply::Next::refuse);
        CHECK(reply.response.status == LoginStatus::authentication_failure);
        CHECK(reply.text.empty());
        CHECK(door.why == why);
        CHECK(door.failures == 1);
    }
    static std::string value_of(const std::string& answer, std::string_view key) {
        const auto keys = wire::parse_text(answer);
        REQUIRE(keys);
        return std::string{wire::find_key(*keys, key).value_or("(none)")};
    }
};

std::string proof(ChapAlgorithm algorithm = ChapAlgorithm::md5, std::string_view with = secret) {
    return print_binary(chap_response(algorithm, our_identifier, with, our_challenge()));
}

}  // namespace

// hashlib.new(name, bytes([0x2a]) + b"a-secret-of-20-bytes" + bytes(range(0x10, 0x30))) of Python 3.11
TEST_CASE("every algorithm gives what another program gives") {
    const auto response = [](ChapAlgorithm algorithm) { return proof(algorithm); };
    CHECK(response(ChapAlgorithm::md5) == "0x7e1e79771af80f123f4c6f17b2d83809");
    CHECK(response(ChapAlgorithm::sha1) == "0x6c09c0a084bbb9dc8a732e87b680304043e9f6d0");
    CHECK(response(ChapAlgorithm::sha256) == "0xde149af6a3a9154ce9bcec0829ea6103bdcf94b8c83819aba7ae06be17544e6f");
    CHECK(response(ChapAlgorithm::sha3_256) == "0x9da923fca73efac3b9ea42832e733d75ed0ae9597b7f9d7240b49f17d0c0f752");
}

TEST_CASE("binary values: hexadecimal and base64") {
    const auto hex_of = [](std::string_view value) {
        const auto bytes = parse_binary(value);
        return bytes ? print_binary(*bytes) : std::string{"refused"};
    };
    CHECK(hex_of("0x00fF10") == "0x00ff10");
    CHECK(hex_of("0X1") == "0x01");
    CHECK(hex_of("0xabc") == "0x0abc");
    // RFC 4648 10
    CHECK(hex_of("0bZg==") == "0x66");
    CHECK(hex_of("0BZm8=") == "0x666f");
    CHECK(hex_of("0bZm9v") == "0x666f6f");
    CHECK(hex_of("0bZm9vYmFy") == "0x666f6f626172");
    CHECK(hex_of("0bZm8") == "0x666f");  // padding left out
    for (const char* wrong : {"", "0", "0x", "0b", "00ff", "ff", "0xg0", "0x0 ", "1x00", "0bZ",
                              "0bZg=", "0bZg===", "0bZ===", "0b====", "0bZh==", "0bZm9v!", "0bZm=v"}) {
        CAPTURE(wrong);
        CHECK(hex_of(wrong) == "refused");
    }
    CHECK(parse_binary("0x" + std::string(2 * max_chap_bytes, 'a'))->size() == max_chap_bytes);
    CHECK_FALSE(parse_binary("0x" + std::string(2 * max_chap_bytes + 1, 'a')));
    for (std::size_t size = 1; size < 70; ++size) {
        const auto bytes = test::pattern(size, 3);
        CHECK(parse_binary(base64(bytes)) == bytes);
        CHECK(parse_binary(print_binary(bytes)) == bytes);
    }
}

TEST_CASE("one-way: every algorithm, either writing") {
    for (const ChapAlgorithm algorithm : all_algorithms) {
        for (const bool hex : {true, false}) {
            CAPTURE(std::to_underlying(algorithm));
            Dialogue d;
            const std::string offer = std::to_string(std::to_underlying(algorithm));
            const std::string question = d.challenged(offer);
            CHECK(d.value_of(question, "CHAP_A") == offer);
            CHECK(d.value_of(question, "CHAP_I") == "42");
            CHECK(d.value_of(question, "CHAP_C") == "0x101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f");
            const auto bytes = chap_response(algorithm, our_identifier, secret, our_challenge());
            const auto reply = d.say(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", hex ? print_binary(bytes) : base64(bytes)}});
            REQUIRE(reply.next == LoginReply::Next::respond);
            CHECK(reply.response.transit);
            CHECK(reply.response.next_stage == Stage::login_operational_negotiation);
            CHECK(reply.text.empty());
            CHECK(d.say(operational(), {{"InitialR2T", "No"}}).next == LoginReply::Next::complete);
            CHECK(d.door.failures == 0);
        }
    }
}

TEST_CASE("the algorithm is the first of the initiator's that is allowed") {
    Dialogue d;
    d.door.demand.algorithms = {ChapAlgorithm::md5, ChapAlgorithm::sha256};
    SUBCASE("its order counts") { CHECK(d.value_of(d.challenged("9,8,7,5"), "CHAP_A") == "7"); }
    SUBCASE("the other way round") { CHECK(d.value_of(d.challenged("6,5,7"), "CHAP_A") == "5"); }
    SUBCASE("none in common") {
        REQUIRE(d.say(security(false), with_names({{"AuthMethod", "CHAP"}})).next == LoginReply::Next::respond);
        d.refused(security(false), {{"CHAP_A", "8,6,nonsense"}}, "chap_algorithm");
    }
}

TEST_CASE("as initiators do it: T from the first request on, no stage between") {
    Dialogue d;
    auto request = security(true);
    request.next_stage = Stage::full_feature_phase;
    const auto first = d.say(request, with_names({{"AuthMethod", "None,CHAP"}, {"SessionType", "Normal"}}));
    REQUIRE(first.next == LoginReply::Next::respond);
    CHECK_FALSE(first.response.transit);
    CHECK(first.response.tsih == 0);
    CHECK(d.value_of(first.text, "AuthMethod") == "CHAP");
    const auto second = d.say(request, {{"CHAP_A", "7,5"}});
    REQUIRE(second.next == LoginReply::Next::respond);
    CHECK_FALSE(second.response.transit);
    CHECK(d.say(request, {{"CHAP_N", "desk"}, {"CHAP_R", proof(ChapAlgorithm::sha256)}}).next == LoginReply::Next::complete);
}

TEST_CASE("the keys of one step in several requests, by the C bit") {
    Dialogue d;
    (void)d.challenged();
    const std::string whole{as_text(test::text_segment({{"CHAP_N", "desk"}, {"CHAP_R", proof()}}))};
    auto part = security(false);
    part.continues = true;
    for (std::size_t at = 0; at < whole.size(); at += 7) {
        const auto reply = d.login.receive(part, std::string_view{whole}.substr(at, 7), d.door);
        REQUIRE(reply.next == LoginReply::Next::respond);
        CHECK(reply.text.empty());
    }
    CHECK(d.say(security(true), {}).response.transit);
}

TEST_CASE("mutual: the target proves itself too, behind the initiator's proof") {
    for (const ChapAlgorithm algorithm : all_algorithms) {
        Dialogue d;
        (void)d.challenged(std::to_string(std::to_underlying(algorithm)));
        const auto theirs = test::pattern(24, 9);
        const auto reply =
            d.say(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof(algorithm)}, {"CHAP_I", "255"}, {"CHAP_C", base64(theirs)}});
        REQUIRE(reply.next == LoginReply::Next::respond);
        CHECK(reply.response.transit);
        CHECK(d.value_of(reply.text, "CHAP_N") == "server");
        CHECK(d.value_of(reply.text, "CHAP_R") == print_binary(chap_response(algorithm, 255, target_secret, theirs)));
    }
}

TEST_CASE("without the secret nobody gets in, and nothing is given away") {
    Dialogue d;
    (void)d.challenged();
    const std::string theirs = print_binary(test::pattern(16, 1));
    SUBCASE("a wrong secret") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof(ChapAlgorithm::md5, "not-the-right-secret")}}, "chap_response");
        CHECK(d.door.user == "desk");
    }
    SUBCASE("a wrong secret, and a challenge for us: no proof of ours leaves") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof(ChapAlgorithm::md5, "wrong")}, {"CHAP_I", "1"}, {"CHAP_C", theirs}},
                  "chap_response");
    }
    SUBCASE("another account's secret under this name") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof(ChapAlgorithm::md5, "another-secret-altogether")}},
                  "chap_response");
    }
    SUBCASE("nobody's name") { d.refused(security(true), {{"CHAP_N", "nobody"}, {"CHAP_R", proof()}}, "chap_user"); }
    SUBCASE("no name at all") { d.refused(security(true), {{"CHAP_N", ""}, {"CHAP_R", proof()}}, "chap_user"); }
    SUBCASE("the dummy of unknown names is nobody's secret") {
        d.refused(security(true), {{"CHAP_N", "nobody"}, {"CHAP_R", proof(ChapAlgorithm::md5, "none of the secrets")}}, "chap_user");
    }
    SUBCASE("a proof that is cut off") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof().substr(0, 20)}}, "chap_response");
    }
    SUBCASE("a proof that is no number") { d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", "yes"}}, "chap_malformed"); }
    SUBCASE("an identifier out of range") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}, {"CHAP_I", "256"}, {"CHAP_C", theirs}}, "chap_malformed");
    }
    SUBCASE("a challenge that is empty") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}, {"CHAP_I", "1"}, {"CHAP_C", "0x"}}, "chap_malformed");
    }
    SUBCASE("our challenge sent back to us") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}, {"CHAP_I", "7"}, {"CHAP_C", print_binary(our_challenge())}},
                  "chap_reflected");
    }
    SUBCASE("our challenge sent back in the other writing") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}, {"CHAP_I", "42"}, {"CHAP_C", base64(our_challenge())}},
                  "chap_reflected");
    }
    SUBCASE("a name without its proof") { d.refused(security(true), {{"CHAP_N", "desk"}}, "chap_order"); }
    SUBCASE("a proof without its name") { d.refused(security(true), {{"CHAP_R", proof()}}, "chap_order"); }
    SUBCASE("half of a challenge") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}, {"CHAP_C", theirs}}, "chap_order");
    }
    SUBCASE("leaving with nothing said") { d.refused(security(true), {}, "not_authenticated"); }
    SUBCASE("leaving with other keys only") { d.refused(security(true), {{"InitialR2T", "No"}}, "not_authenticated"); }
    SUBCASE("the other stage at once") { CHECK(d.say(operational(), {}).response.status == LoginStatus::initiator_error); }
    SUBCASE("CHAP_A a second time") { CHECK(d.say(security(false), {{"CHAP_A", "5"}}).response.status == LoginStatus::initiator_error); }
    SUBCASE("AuthMethod a second time") {
        CHECK(d.say(security(true), {{"AuthMethod", "None"}}).response.status == LoginStatus::initiator_error);
    }
    SUBCASE("a second try on the same challenge") {
        d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", "0x00"}}, "chap_response");
        CHECK(d.say(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}}).next == LoginReply::Next::refuse);
    }
}

TEST_CASE("mutual where the account has nothing to prove with") {
    Dialogue d;
    d.door.demand.accounts = {{.user = "desk", .secret = std::string{secret}, .target_user = {}, .target_secret = {}}};
    (void)d.challenged();
    d.refused(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}, {"CHAP_I", "1"}, {"CHAP_C", "0x0102030405060708"}},
              "chap_not_mutual");
}

TEST_CASE("a demand that nobody can meet lets nobody in") {
    Dialogue d;
    d.door.demand.accounts.clear();
    (void)d.challenged();
    d.refused(security(true), {{"CHAP_N", ""}, {"CHAP_R", proof(ChapAlgorithm::md5, "")}}, "chap_user");
}

TEST_CASE("before any challenge") {
    Dialogue d;
    SUBCASE("the security stage skipped") { d.refused(operational(), names, "security_stage_skipped"); }
    SUBCASE("only None offered") { d.refused(security(true), with_names({{"AuthMethod", "None"}}), "no_common_auth_method"); }
    SUBCASE("nothing offered") { d.refused(security(true), names, "not_authenticated"); }
    SUBCASE("CHAP's keys before CHAP") { d.refused(security(false), with_names({{"CHAP_A", "5"}}), "chap_not_chosen"); }
    SUBCASE("a proof in place of the algorithms") {
        REQUIRE(d.say(security(false), with_names({{"AuthMethod", "CHAP"}})).next == LoginReply::Next::respond);
        d.refused(security(false), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}}, "chap_order");
    }
    SUBCASE("everything at once") {
        REQUIRE(d.say(security(false), with_names({{"AuthMethod", "CHAP"}})).next == LoginReply::Next::respond);
        d.refused(security(false), {{"CHAP_A", "5"}, {"CHAP_N", "desk"}, {"CHAP_R", proof()}}, "chap_order");
    }
    SUBCASE("algorithms with the method save a round") {
        const auto reply = d.say(security(false), with_names({{"AuthMethod", "CHAP"}, {"CHAP_A", "5"}}));
        CHECK(d.value_of(reply.text, "AuthMethod") == "CHAP");
        CHECK(d.value_of(reply.text, "CHAP_A") == "5");
    }
}

TEST_CASE("where nothing is demanded, None is chosen, and CHAP alone finds no door") {
    Dialogue d;
    d.door.demand = {};
    SUBCASE("a choice") {
        const auto reply = d.say(security(true), with_names({{"AuthMethod", "CHAP,None"}}));
        CHECK(d.value_of(reply.text, "AuthMethod") == "None");
        CHECK(reply.response.transit);
    }
    SUBCASE("no choice") { d.refused(security(true), with_names({{"AuthMethod", "CHAP"}}), "no_common_auth_method"); }
    SUBCASE("CHAP's keys in the other stage") {
        const auto reply = d.say(operational(), with_names({{"CHAP_A", "5"}, {"AuthMethod", "CHAP"}}));
        REQUIRE(reply.next == LoginReply::Next::complete);
        const auto last = d.login.finish(1);
        CHECK(d.value_of(last.text, "CHAP_A") == "Reject");
        CHECK(d.value_of(last.text, "AuthMethod") == "Reject");
    }
}

TEST_CASE("the whole connection: no session without a proof, whatever is sent in its place") {
    test::EndpointLab lab;
    lab.demand = a_demand();
    const auto feed = [&](const wire::LoginRequest& request, const Keys& keys) {
        lab.feed(test::encode(test::make_pdu(request, test::text_segment(keys))));
    };
    SUBCASE("a command before the proof") {
        feed(security(false), with_names({{"AuthMethod", "CHAP"}}));
        lab.feed(test::encode(test::make_pdu(wire::ScsiCommand{.final = true})));
        CHECK(lab.endpoint.failure() == "pdu_before_login");
    }
    SUBCASE("the stage skipped") {
        feed(operational(), names);
        CHECK(lab.endpoint.failure() == "security_stage_skipped");
        CHECK(lab.failed_proofs == 1);
    }
    SUBCASE("the right proof") {
        feed(security(false), with_names({{"AuthMethod", "CHAP"}}));
        feed(security(false), {{"CHAP_A", "5"}});
        feed(security(true), {{"CHAP_N", "desk"}, {"CHAP_R", proof()}});
        CHECK(lab.endpoint.session() == nullptr);
        feed(operational(), {});
        CHECK(lab.endpoint.session() != nullptr);
        return;
    }
    CHECK(lab.endpoint.session() == nullptr);
    CHECK(lab.endpoint.finished());
}
