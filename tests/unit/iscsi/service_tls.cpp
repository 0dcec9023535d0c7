// The service's TLS port over loopback: a tunnel of the test's own stands where initiators have stunnel.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/write.hpp>
#include <thread>

#include "tests/unit/iscsi/serving.hpp"
#include "tests/unit/iscsi/tls_parties.hpp"

using namespace diskless;
using namespace diskless::test;
using wire::LoginStatus;

namespace {

using asio::ip::tcp;

const tcp::endpoint any_port{asio::ip::address_v4::loopback(), 0};

std::uint16_t free_port() {
    asio::io_context context;
    return tcp::acceptor{context, any_port}.local_endpoint().port();
}

/// Takes one connection and carries it to `port` in TLS, until either end closes.
class Tunnel {
 public:
    Tunnel(const Party& authority, const Party* own, std::uint16_t port) : client_{authority, own} {
        outer_.connect({asio::ip::address_v4::loopback(), port});
        outer_descriptor_ = outer_.native_handle();
        thread_ = std::thread{[this] { carry(); }};
    }
    Tunnel(const Tunnel&) = delete;
    Tunnel& operator=(const Tunnel&) = delete;
    ~Tunnel() {
        ::shutdown(outer_descriptor_, SHUT_RDWR);
        thread_.join();
    }
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
    void carry() {
        acceptor_.accept(inner_);
        error_code error;
        while (!error) {
            (void)SSL_do_handshake(client_.ssl);
            std::array<std::byte, 32768> piece{};
            std::size_t n = 0;
            while (SSL_read_ex(client_.ssl, piece.data(), piece.size(), &n) == 1 && !error)
                asio::write(inner_, asio::buffer(piece.data(), n), error);
            for (int out = BIO_read(SSL_get_wbio(client_.ssl), piece.data(), piece.size()); out > 0 && !error;
                 out = BIO_read(SSL_get_wbio(client_.ssl), piece.data(), piece.size()))
                asio::write(outer_, asio::buffer(piece.data(), static_cast<std::size_t>(out)), error);
            if (error) break;
            const short inner_wanted = SSL_is_init_finished(client_.ssl) == 1 ? POLLIN : 0;
            std::array<pollfd, 2> wait = {pollfd{outer_.native_handle(), POLLIN, 0}, pollfd{inner_.native_handle(), inner_wanted, 0}};
            ::poll(wait.data(), wait.size(), -1);
            if (wait[0].revents != 0) {
                n = outer_.read_some(asio::buffer(piece), error);
                if (!error) BIO_write(SSL_get_rbio(client_.ssl), piece.data(), static_cast<int>(n));
            }
            if (wait[1].revents != 0 && !error) {
                n = inner_.read_some(asio::buffer(piece), error);
                if (!error) (void)SSL_write_ex(client_.ssl, piece.data(), n, &n);
            }
        }
        inner_.shutdown(tcp::socket::shutdown_both, error);
        outer_.shutdown(tcp::socket::shutdown_both, error);
    }

    asio::io_context context_;
    tcp::acceptor acceptor_{context_, any_port};
    tcp::socket inner_{context_}, outer_{context_};
    int outer_descriptor_ = -1;  // the sockets themselves belong to the thread
    TlsClient client_;
    std::thread thread_;
};

struct ServingTls {
    Parties parties;
    std::uint16_t tls_port = free_port();
    Serving serving;
    explicit ServingTls(bool wants_certificates = false) : serving{config_of(wants_certificates)} {}
    [[nodiscard]] config::Iscsi config_of(bool wants_certificates) const {
        config::Iscsi config;
        config.login_timeout = std::chrono::milliseconds{500};
        config.tls_port = tls_port;
        config.tls_cert = parties.server.certificate;
        config.tls_key = parties.server.key;
        if (wants_certificates) config.tls_client_ca = parties.authority.certificate;
        return config;
    }
};

}  // namespace

TEST_CASE("a session over TLS does what one without does, and both go on side by side") {
    ServingTls tls;
    Tunnel tunnel{tls.parties.authority, nullptr, tls.tls_port};
    RawInitiator initiator{tunnel.port()};
    REQUIRE(tls.serving.login(initiator, {{"HeaderDigest", "CRC32C"}, {"DataDigest", "CRC32C"}}).status == LoginStatus::success);
    initiator.clear_attention();
    const Bytes data = pattern(1u << 20, 5);
    CHECK(initiator.write(16, data).status == 0);
    CHECK(initiator.read(16, static_cast<std::uint32_t>(data.size() / block_bytes)).data == data);
    RawInitiator plain{tls.serving.port()};
    REQUIRE(tls.serving.login(plain, {}, {{std::byte{0x40}}}).status == LoginStatus::success);
    plain.clear_attention();
    CHECK(plain.read(16, 8).data == Bytes(data.begin(), data.begin() + 4096));
    tls.serving.stop();
    CHECK(initiator.is_closed());
}

TEST_CASE("an initiator that reads late gets all of it, in order") {
    ServingTls tls;
    Tunnel tunnel{tls.parties.authority, nullptr, tls.tls_port};
    RawInitiator initiator{tunnel.port()};
    REQUIRE(tls.serving.login(initiator).status == LoginStatus::success);
    initiator.clear_attention();
    const Bytes data = pattern(1u << 20, 6);
    REQUIRE(initiator.write(0, data).status == 0);
    constexpr std::uint16_t blocks = 2048;
    constexpr unsigned commands = 24;  // more than all buffers on the way hold
    for (unsigned i = 0; i < commands; ++i)
        initiator.send(make_pdu(initiator.command(read_10(0, blocks), blocks * block_bytes, true, false)));
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
    std::size_t received = 0;
    unsigned statuses = 0;
    while (statuses < commands) {
        const auto pdu = initiator.receive();
        REQUIRE(pdu);
        if (pdu->opcode() == wire::Opcode::data_in) {
            received += pdu->data.size();
            statuses += wire::DataIn::decode(pdu->bhs).has_status ? 1 : 0;
        } else {
            ++statuses;
        }
    }
    CHECK(received == std::size_t{commands} * blocks * block_bytes);
}

TEST_CASE("who is not welcome at the TLS port") {
    ServingTls tls{true};
    SUBCASE("no TLS") {
        RawInitiator initiator{tls.tls_port};
        initiator.send(make_pdu(wire::LoginRequest{.transit = true}));
        CHECK(initiator.is_closed());
    }
    SUBCASE("silence, and half a handshake") {
        for (const std::string& half : {std::string{}, std::string{"\x16\x03\x01\x02\x00\x01", 6}}) {
            RawInitiator initiator{tls.tls_port};
            initiator.send_bytes(as_bytes(half));
            CHECK(initiator.is_closed());
        }
    }
    SUBCASE("a stranger") {
        Tunnel tunnel{tls.parties.authority, &tls.parties.stranger, tls.tls_port};
        RawInitiator initiator{tunnel.port()};
        CHECK_THROWS((void)tls.serving.login(initiator));
    }
    SUBCASE("but one of ours is") {
        Tunnel tunnel{tls.parties.authority, &tls.parties.client, tls.tls_port};
        RawInitiator initiator{tunnel.port()};
        CHECK(tls.serving.login(initiator).status == LoginStatus::success);
    }
}
