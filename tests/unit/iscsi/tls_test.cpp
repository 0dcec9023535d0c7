// TLS without sockets: a client of OpenSSL's on memory against TlsStream, in portions of any size.
#include <doctest/doctest.h>

#include <array>

#include "services/iscsi/tls.hpp"
#include "tests/support/raw_initiator.hpp"
#include "tests/unit/iscsi/tls_parties.hpp"

using namespace diskless;
using namespace diskless::iscsi;
using test::Bytes;
using test::Parties;
using test::TlsClient;

namespace {

/// Both ends, and the wire between them in portions of `portion` bytes.
struct Link {
    Link(TlsContext& context, TlsClient& initiator, std::size_t portion_bytes)
        : target{context}, client{initiator}, portion{portion_bytes} {}

    /// Until nothing moves any more. What the target reads gathers in `heard`.
    void pump() {
        for (bool moved = true; moved;) {
            moved = false;
            (void)SSL_do_handshake(client.ssl);
            if (BIO* const out = SSL_get_wbio(client.ssl); BIO_ctrl_pending(out) != 0) {
                std::vector<std::byte> bytes(portion);
                const int n = BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
                target.received(ByteSpan{bytes}.first(static_cast<std::size_t>(n)));
                moved = true;
            }
            std::array<std::byte, 1000> room{};
            for (std::size_t n = target.read(room); n != 0; n = target.read(room))
                heard.insert(heard.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
            if (const ByteSpan bytes = target.outgoing().first(std::min(portion, target.outgoing().size())); !bytes.empty()) {
                BIO_write(SSL_get_rbio(client.ssl), bytes.data(), static_cast<int>(bytes.size()));
                target.sent(bytes.size());
                moved = true;
            }
        }
    }
    Bytes client_reads() {
        Bytes all;
        std::array<std::byte, 5000> room{};
        std::size_t n = 0;
        while (SSL_read_ex(client.ssl, room.data(), room.size(), &n) == 1)
            all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
        return all;
    }
    TlsStream target;
    TlsClient& client;
    std::size_t portion;
    Bytes heard;
};

}  // namespace

TEST_CASE("both directions, both versions, whatever portions the bytes arrive in") {
    Parties parties;
    TlsContext context{parties.server.certificate, parties.server.key, {}};
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const std::size_t portion : {1u, 7u, 1460u, 100'000u}) {
            CAPTURE(portion);
            TlsClient client{parties.authority, nullptr, version};
            Link link{context, client, portion};
            CHECK_FALSE(link.target.established());
            CHECK_FALSE(link.target.write({}));
            link.pump();
            REQUIRE(link.target.established());
            CHECK(link.target.description().starts_with(version == TLS1_2_VERSION ? "TLSv1.2 " : "TLSv1.3 "));
            const Bytes question = test::pattern(40'000, 1), answer = test::pattern(70'000, 2);
            std::size_t written = 0;
            REQUIRE(SSL_write_ex(client.ssl, question.data(), question.size(), &written) == 1);
            link.pump();
            CHECK(link.heard == question);
            Bytes first{answer.begin(), answer.begin() + 48}, rest{answer.begin() + 48, answer.end()};
            const std::array<iovec, 3> pieces = {iovec{first.data(), first.size()}, iovec{nullptr, 0}, iovec{rest.data(), rest.size()}};
            REQUIRE(link.target.write(pieces));
            link.pump();
            CHECK(link.client_reads() == answer);
            if (portion % 2 == 1) {  // the client says goodbye
                SSL_shutdown(client.ssl);
                link.pump();
                CHECK(link.target.ended());
                CHECK(link.target.failure().empty());
            } else {  // the target does
                link.target.close();
                link.pump();
                CHECK(link.client_reads().empty());
                CHECK(SSL_get_shutdown(client.ssl) == SSL_RECEIVED_SHUTDOWN);
            }
        }
    }
}

TEST_CASE("client certificates, where they are demanded") {
    Parties parties;
    TlsContext context{parties.server.certificate, parties.server.key, parties.authority.certificate};
    const auto failure_of = [&](const test::Party* own, int version) {
        TlsClient client{parties.authority, own, version};
        Link link{context, client, 4096};
        link.pump();
        CHECK(link.heard.empty());
        return link.target.failure();
    };
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CHECK(failure_of(&parties.client, version).empty());
        CHECK(failure_of(nullptr, version).contains("peer did not return a certificate"));
        CHECK(failure_of(&parties.stranger, version).contains("certificate verify failed"));
    }
    TlsClient client{parties.authority, &parties.client};
    Link link{context, client, 4096};
    link.pump();
    CHECK(link.target.description().ends_with("/CN=client"));
}

TEST_CASE("what is no TLS, or none of today") {
    Parties parties;
    TlsContext context{parties.server.certificate, parties.server.key, {}};
    SUBCASE("a version of the past is refused, and told so") {
        TlsClient client{parties.authority, nullptr, TLS1_1_VERSION};
        Link link{context, client, 4096};
        link.pump();
        CHECK_FALSE(link.target.established());
        CHECK_FALSE(link.target.failure().empty());
    }
    SUBCASE("an initiator that speaks no TLS") {
        TlsStream target{context};
        target.received(test::encode(test::make_pdu(test::wire::LoginRequest{.transit = true})));
        std::array<std::byte, 100> room{};
        CHECK(target.read(room) == 0);
        CHECK_FALSE(target.failure().empty());
        target.received(as_bytes("more of it"));  // of no effect any more
        CHECK(target.read(room) == 0);
    }
    SUBCASE("a record damaged on its way") {
        TlsClient client{parties.authority};
        Link link{context, client, 4096};
        link.pump();
        REQUIRE(link.target.established());
        std::size_t written = 0;
        REQUIRE(SSL_write_ex(client.ssl, "0123456789", 10, &written) == 1);
        std::array<std::byte, 200> record{};
        const int n = BIO_read(SSL_get_wbio(client.ssl), record.data(), record.size());
        record[20] ^= std::byte{1};
        link.target.received(ByteSpan{record}.first(static_cast<std::size_t>(n)));
        std::array<std::byte, 100> room{};
        CHECK(link.target.read(room) == 0);
        CHECK_FALSE(link.target.failure().empty());
        CHECK_FALSE(link.target.outgoing().empty());  // the alert
    }
    SUBCASE("files that do not fit are named") {
        CHECK_THROWS_WITH_AS((TlsContext{parties.server.key, parties.server.key, {}}), doctest::Contains("[iscsi] tls_cert"),
                             std::runtime_error);
        CHECK_THROWS_WITH_AS((TlsContext{parties.server.certificate, parties.client.key, {}}), doctest::Contains("[iscsi] tls_key"),
                             std::runtime_error);
        CHECK_THROWS_WITH_AS((TlsContext{parties.server.certificate, parties.server.key, parties.server.key}),
                             doctest::Contains("[iscsi] tls_client_ca"), std::runtime_error);
    }
}
