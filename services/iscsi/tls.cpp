#include "services/iscsi/tls.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>

#include "common/assert.hpp"

namespace diskless::iscsi {
namespace {

/// OpenSSL's newest complaint in words; takes all of them away.
std::string last_error() {
    std::array<char, 256> text{};
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (code == 0) return "unknown error";
    ERR_error_string_n(code, text.data(), text.size());
    const char* const reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : text.data();
}

[[noreturn]] void refuse_file(std::string_view key, const std::filesystem::path& file) {
    throw std::runtime_error{fmt::format("[iscsi] {} {}: {}; name a PEM file that fits", key, file.native(), last_error())};
}

}  // namespace

void TlsContext::Free::operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
void TlsStream::Free::operator()(SSL* ssl) const noexcept { SSL_free(ssl); }

TlsContext::TlsContext(const std::filesystem::path& certificate, const std::filesystem::path& key, const std::filesystem::path& client_ca)
    : context_{SSL_CTX_new(TLS_server_method())} {
    if (!context_) throw std::runtime_error{"[iscsi] TLS cannot start: " + last_error()};
    SSL_CTX* const context = context_.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // A session of weeks resumes nothing, and renegotiation (TLS 1.2) only lends work to the peer.
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // 34 KiB less for each idle session
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) refuse_file("tls_cert", certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) refuse_file("tls_key", key);
    if (SSL_CTX_check_private_key(context) != 1) refuse_file("tls_key", key);
    if (client_ca.empty()) return;
    if (SSL_CTX_load_verify_file(context, client_ca.c_str()) != 1) refuse_file("tls_client_ca", client_ca);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(client_ca.c_str()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

TlsStream::TlsStream(TlsContext& context) : ssl_{SSL_new(context.context_.get())}, in_{BIO_new(BIO_s_mem())}, out_{BIO_new(BIO_s_mem())} {
    if (!ssl_ || in_ == nullptr || out_ == nullptr) throw std::bad_alloc{};
    BIO_set_mem_eof_return(in_, -1);  // an empty buffer is "not yet", not the end
    BIO_set_mem_eof_return(out_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_accept_state(ssl_.get());
}

TlsStream::~TlsStream() = default;

void TlsStream::received(ByteSpan ciphertext) {
    if (!failure_.empty()) return;
    const int taken = BIO_write(in_, ciphertext.data(), static_cast<int>(ciphertext.size()));
    DISKLESS_ASSERT(static_cast<std::size_t>(taken) == ciphertext.size());  // memory takes all, or new throws
}

/// Notes how an operation has ended; true: it did something.
bool TlsStream::step(int result) noexcept {
    if (result > 0) return true;
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE: break;
        case SSL_ERROR_ZERO_RETURN: ended_ = true; break;
        default: failure_ = last_error(); break;
    }
    return false;
}

/// What OpenSSL wants to be sent: handshakes, alerts, records.
void TlsStream::collect() {
    const std::size_t pending = BIO_ctrl_pending(out_);
    if (pending == 0) return;
    if (sent_ == outgoing_.size()) {
        outgoing_.clear();
        sent_ = 0;
    }
    const std::size_t before = outgoing_.size();
    outgoing_.resize(before + pending);
    const int taken = BIO_read(out_, outgoing_.data() + before, static_cast<int>(pending));
    DISKLESS_ASSERT(static_cast<std::size_t>(taken) == pending);
}

std::size_t TlsStream::read(MutableByteSpan room) {
    std::size_t total = 0;
    ERR_clear_error();  // SSL_get_error() reads the thread's queue, and somebody else may have left something there
    while (total < room.size() && failure_.empty() && !ended_) {
        std::size_t n = 0;
        if (!step(SSL_read_ex(ssl_.get(), room.data() + total, room.size() - total, &n))) break;
        total += n;
    }
    collect();  // also the alert that says why it broke
    return total;
}

bool TlsStream::write(std::span<const iovec> plaintext) {
    if (!established() || !failure_.empty()) return false;
    ERR_clear_error();
    for (const iovec& piece : plaintext) {
        std::size_t n = 0;
        if (piece.iov_len == 0) continue;
        if (!step(SSL_write_ex(ssl_.get(), piece.iov_base, piece.iov_len, &n))) return false;
        DISKLESS_ASSERT(n == piece.iov_len);  // no partial writes, into memory
    }
    collect();
    return true;
}

void TlsStream::close() noexcept {
    if (!established() || !failure_.empty()) return;
    if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();
    collect();
}

void TlsStream::sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    DISKLESS_ASSERT(sent_ <= outgoing_.size());
    if (sent_ != outgoing_.size()) return;
    sent_ = 0;
    outgoing_.clear();
}

void TlsStream::trim() noexcept {
    if (outgoing_.empty()) outgoing_ = {};
}

bool TlsStream::established() const noexcept { return SSL_is_init_finished(ssl_.get()) == 1; }

std::string TlsStream::description() const {
    std::string text = fmt::format("{} {}", SSL_get_version(ssl_.get()), SSL_get_cipher_name(ssl_.get()));
    X509* const peer = SSL_get0_peer_certificate(ssl_.get());
    if (peer == nullptr) return text;
    std::array<char, 256> subject{};
    X509_NAME_oneline(X509_get_subject_name(peer), subject.data(), static_cast<int>(subject.size()));
    return text + " " + subject.data();
}

}  // namespace diskless::iscsi
