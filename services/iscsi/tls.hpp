// TLS between socket and Endpoint (RFC 8446, 5246), for initiators behind stunnel: ciphertext in, plaintext out, and the other way round.
// No socket in here: OpenSSL works on memory, whoever owns a connection moves the bytes.
//
//     received(ciphertext), then read() until it gives nothing; write(plaintext); send what outgoing() shows, tell sent(n).
#pragma once

#include <openssl/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::iscsi {

/// Certificate, key, and whose clients are welcome. One for all connections.
class TlsContext {
 public:
    /// PEM files. `client_ca` empty: clients need no certificate. Throws std::runtime_error with one clear line.
    TlsContext(const std::filesystem::path& certificate, const std::filesystem::path& key, const std::filesystem::path& client_ca);

 private:
    friend class TlsStream;
    struct Free {
        void operator()(SSL_CTX* context) const noexcept;
    };
    std::unique_ptr<SSL_CTX, Free> context_;
};

/// One connection, the server's side.
class TlsStream {
 public:
    explicit TlsStream(TlsContext& context);
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;
    ~TlsStream();

    void received(ByteSpan ciphertext);
    /// Carries the handshake on and deciphers what is there; bytes written to `room`. 0: more has to arrive, or it is over.
    [[nodiscard]] std::size_t read(MutableByteSpan room);
    /// Enciphers all of it; false: not yet established, or broken.
    [[nodiscard]] bool write(std::span<const iovec> plaintext);
    /// "No more from me" (RFC 8446 6.1): without it the peer cannot tell an end from a cut.
    void close() noexcept;

    [[nodiscard]] ByteSpan outgoing() const noexcept { return ByteSpan{outgoing_}.subspan(sent_); }
    void sent(std::size_t bytes) noexcept;

    [[nodiscard]] bool established() const noexcept;
    [[nodiscard]] bool ended() const noexcept { return ended_; }  ///< the peer has said that no more comes
    /// What broke, for the log; empty: nothing has.
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
    /// "TLSv1.3 TLS_AES_256_GCM_SHA384", and the subject of the client's certificate if it showed one.
    [[nodiscard]] std::string description() const;

    /// Gives back what a quiet connection does not need.
    void trim() noexcept;

    /// The most plaintext of one record (RFC 8446 5.1), and what it becomes at most.
    static constexpr std::size_t max_record_bytes = 16384 + 256 + 5;

 private:
    struct Free {
        void operator()(SSL* ssl) const noexcept;
    };
    bool step(int result) noexcept;
    void collect();

    std::unique_ptr<SSL, Free> ssl_;
    BIO* in_;   // owned by ssl_
    BIO* out_;  // owned by ssl_
    std::vector<std::byte> outgoing_;
    std::size_t sent_ = 0;
    bool ended_ = false;
    std::string failure_;
};

}  // namespace diskless::iscsi
