// Connection over TLS: the same loop, with TlsStream between the socket and Endpoint.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "common/log.hpp"
#include "common/text.hpp"
#include "services/iscsi/connection.hpp"

namespace diskless::iscsi {

asio::awaitable<void> Connection::receive_tls() {
    while (!take_plaintext() && !over() && !stopping_) {
        if (receive_ciphertext()) continue;
        if (lost_) co_return;
        reading_ = true;
        const auto [error] = co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, nothrow_await);
        reading_ = false;
        if (error) {
            // Aborted: somebody wants the loop's attention, or drop() has said why already.
            if (error != asio::error::operation_aborted) lose("connection_lost");
            co_return;
        }
    }
}

/// What the socket has now; false: nothing.
bool Connection::receive_ciphertext() {
    std::array<std::byte, TlsStream::max_record_bytes> record{};
    const ssize_t n = ::recv(socket_.native_handle(), record.data(), record.size(), MSG_DONTWAIT);
    if (n > 0) {
        tls_->received(ByteSpan{record}.first(static_cast<std::size_t>(n)));
        last_progress_ = last_received_ = Clock::now();
        return true;
    }
    if (n == 0) {
        lose("closed_by_peer");
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        lose("connection_lost");
    }
    return false;
}

/// What has been deciphered goes where the endpoint wants it. Handshakes and alerts that came of it leave at once.
bool Connection::take_plaintext() {
    const bool handshaking = !tls_->established();
    std::size_t taken = 0;
    for (const MutableByteSpan room : endpoint_.want()) {
        if (room.empty()) continue;
        const std::size_t n = tls_->read(room);
        taken += n;
        if (n < room.size()) break;
    }
    if (handshaking && tls_->established()) log::debug("tls.established", "from={} with=\"{}\"", peer_, escaped(tls_->description()));
    if (!tls_->outgoing().empty()) flush_tls();
    endpoint_.received(taken);
    if (!tls_->failure().empty()) {
        if (!lost_ && shared_->failures.allow()) log::warn("tls.failed", "from={} reason=\"{}\"", peer_, escaped(tls_->failure()));
        lose("tls_failed");
    } else if (tls_->ended() && taken == 0) {
        lose("closed_by_peer");
    }
    return taken != 0;
}

// One record after the other, and the next batch only when the last one has left: a peer that does not read holds no more than that.
void Connection::flush_tls() {
    while (!write_blocked_ && !lost_) {
        if (tls_->outgoing().empty()) {
            if (tls_covered_ != 0) endpoint_.written(std::exchange(tls_covered_, 0));
            const std::span<iovec> pieces = endpoint_.to_send();
            if (pieces.empty()) return;
            if (!tls_->write(pieces)) return lose("tls_failed");
            for (const iovec& piece : pieces) tls_covered_ += piece.iov_len;
        }
        const ByteSpan bytes = tls_->outgoing();
        const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            tls_->sent(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_writable();
        } else if (errno != EINTR) {
            lose("connection_lost");
        }
    }
}

/// As far as the socket takes it at once: an end that nobody waits for.
void Connection::close_tls() {
    if (write_blocked_ || !tls_->outgoing().empty()) return;
    tls_->close();
    const ByteSpan bytes = tls_->outgoing();
    if (!bytes.empty()) (void)::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace diskless::iscsi
