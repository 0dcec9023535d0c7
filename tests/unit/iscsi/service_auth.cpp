// Logins of the real service that have to prove something, come from somewhere, or are sent elsewhere.
#include <doctest/doctest.h>

#include <set>

#include "services/iscsi/auth_limit.hpp"
#include "services/iscsi/chap.hpp"
#include "tests/unit/iscsi/serving.hpp"

using namespace diskless;
using namespace diskless::test;
using wire::LoginStatus;

namespace {

const std::string visitor = "iqn.2026-11.test:visitor";

boot::CatalogData guarded() {
    boot::CatalogData data = two_clients();
    const std::vector<boot::Disk> luns{{.lun = 0, .source = boot::BlankSource{16u << 20}}};
    data.targets = {{.name = "vault", .luns = luns, .initiators = {"*"}, .chap = {"anna", "zoe"}},
                    {.name = "locked", .luns = luns, .initiators = {"*"}, .chap = {"nobody-any-more"}},
                    {.name = "open", .luns = luns, .initiators = {"*"}},
                    {.name = "far", .luns = luns, .initiators = {"*"}, .addresses = {*Ipv4Range::parse("10.0.0.0-10.255.255.255")}},
                    {.name = "near", .luns = luns, .initiators = {"*"}, .addresses = {*Ipv4Range::parse("127.0.0.1")}},
                    {.name = "moved", .initiators = {"*"}, .redirect = "192.168.77.2:3261"}};
    return data;
}

boot::ChapSecrets secrets() {
    return boot::ChapSecrets{{{"anna", "the-secret-of-anna", "", ""},
                              {"zoe", "the-secret-of-zoe", "server", "what-the-server-says"},
                              {"admin", "the-secret-of-admin", "", ""}}};
}

struct Guarded : Serving {
    explicit Guarded(config::Iscsi wanted = {}) : Serving{std::move(wanted)} {
        catalog.replace(std::make_shared<boot::Catalog>(guarded()));
        Serving::secrets.replace(::secrets());
    }
    LoginStatus chap(const std::string& target, const std::string& user, const std::string& secret, Keys* proof = nullptr) {
        RawInitiator initiator{port()};
        return initiator.login_chap(visitor, target.empty() ? target : client_target(target), user, secret, proof).status;
    }
    LoginStatus plain(const std::string& target) {
        RawInitiator initiator{port()};
        return initiator.login(visitor, target.empty() ? target : client_target(target)).status;
    }
    std::uint64_t count(std::string_view name) { return counters.counter(std::string{name}).value(); }
};

}  // namespace

TEST_CASE("a target with users: each of them, and nobody else") {
    Guarded serving;
    CHECK(serving.chap("vault", "anna", "the-secret-of-anna") == LoginStatus::success);
    CHECK(serving.chap("vault", "zoe", "the-secret-of-zoe") == LoginStatus::success);
    CHECK(serving.chap("vault", "zoe", "the-secret-of-anna") == LoginStatus::authentication_failure);
    CHECK(serving.chap("vault", "admin", "the-secret-of-admin") == LoginStatus::authentication_failure);
    CHECK(serving.chap("locked", "nobody-any-more", "") == LoginStatus::authentication_failure);
    CHECK(serving.plain("vault") == LoginStatus::authentication_failure);
    CHECK(serving.plain("open") == LoginStatus::success);
    CHECK(serving.chap("open", "anna", "whatever she says") == LoginStatus::authentication_failure);  // CHAP where None was chosen
    CHECK(serving.count("diskless_iscsi_auth_failures_total") == 5);
}

TEST_CASE("a session behind a proof works, and the target proves itself") {
    Guarded serving;
    RawInitiator initiator{serving.port()};
    Keys proof;
    REQUIRE(initiator.login_chap(visitor, serving.client_target("vault"), "zoe", "the-secret-of-zoe", &proof).status ==
            LoginStatus::success);
    REQUIRE(proof.size() >= 2);
    CHECK(proof[0] == std::pair<std::string, std::string>{"CHAP_N", "server"});
    std::vector<std::byte> challenge(16);
    for (std::size_t i = 0; i < challenge.size(); ++i) challenge[i] = static_cast<std::byte>(i + 1);
    CHECK(proof[1].second == iscsi::print_binary(iscsi::chap_response(iscsi::ChapAlgorithm::md5, 3, "what-the-server-says", challenge)));
    initiator.clear_attention();
    const Bytes data = pattern(4096);
    CHECK(initiator.write(8, data).status == 0);
    CHECK(initiator.read(8, 8).data == data);
}

TEST_CASE("every login is asked something else") {
    Guarded serving;
    std::set<std::string> questions;
    for (unsigned i = 0; i < 5; ++i) {
        RawInitiator initiator{serving.port()};
        wire::LoginRequest request{.initiator_task_tag = 1, .cmd_sn = 1};
        initiator.send(make_pdu(
            request,
            text_segment(
                {{"InitiatorName", visitor}, {"TargetName", serving.client_target("vault")}, {"AuthMethod", "CHAP"}, {"CHAP_A", "7"}})));
        const auto answer = initiator.receive();
        REQUIRE(answer);
        const auto text = answer->text();
        const auto keys = wire::parse_text(text).value();
        CHECK(iscsi::parse_binary(wire::find_key(keys, "CHAP_C").value())->size() >= 16);
        questions.emplace(wire::find_key(keys, "CHAP_C").value());
    }
    CHECK(questions.size() == 5);
}

TEST_CASE("discovery has users of its own") {
    config::Iscsi config;
    config.discovery_auth = {"admin"};
    Guarded serving{config};
    CHECK(serving.plain("") == LoginStatus::authentication_failure);
    CHECK(serving.chap("", "anna", "the-secret-of-anna") == LoginStatus::authentication_failure);
    CHECK(serving.chap("", "admin", "the-secret-of-admin") == LoginStatus::success);
    CHECK(serving.plain("open") == LoginStatus::success);
}

TEST_CASE("too many wrong proofs at one target: it waits there, and only there") {
    Guarded serving;
    for (unsigned i = 0; i < iscsi::AuthLimit::max_at_target; ++i)
        REQUIRE(serving.chap("vault", "anna", "wrong") == LoginStatus::authentication_failure);
    CHECK(serving.chap("vault", "anna", "the-secret-of-anna") == LoginStatus::service_unavailable);
    CHECK(serving.plain("vault") == LoginStatus::service_unavailable);
    CHECK(serving.plain("open") == LoginStatus::success);
    CHECK(serving.count("diskless_iscsi_auth_blocked_total") == 2);
}

TEST_CASE("a right proof forgives the wrong ones before it") {
    Guarded serving;
    for (unsigned i = 0; i < 2 * iscsi::AuthLimit::max_at_target; ++i) {
        if (i % 5 == 4) {
            REQUIRE(serving.chap("vault", "anna", "the-secret-of-anna") == LoginStatus::success);
        } else {
            REQUIRE(serving.chap("vault", "anna", "wrong") == LoginStatus::authentication_failure);
        }
    }
}

TEST_CASE("a reload changes secrets for the next login") {
    Guarded serving;
    CHECK(serving.chap("vault", "anna", "the-secret-of-anna") == LoginStatus::success);
    serving.Serving::secrets.replace(boot::ChapSecrets{{{"anna", "a-new-secret-of-anna", "", ""}}});
    CHECK(serving.chap("vault", "anna", "the-secret-of-anna") == LoginStatus::authentication_failure);
    CHECK(serving.chap("vault", "anna", "a-new-secret-of-anna") == LoginStatus::success);
}

TEST_CASE("where an initiator comes from, and where it is sent") {
    Guarded serving;
    CHECK(serving.plain("far") == LoginStatus::authorization_failure);
    CHECK(serving.plain("near") == LoginStatus::success);
    RawInitiator initiator{serving.port()};
    const auto answer = initiator.login(visitor, serving.client_target("moved"));
    CHECK(answer.status == LoginStatus::target_moved_temporarily);
    const auto keys = wire::parse_text(initiator.login_text).value();
    REQUIRE(keys.size() == 1);
    CHECK(keys[0] == wire::TextKey{"TargetAddress", "192.168.77.2:3261"});
    CHECK(initiator.is_closed());
}
