#include "services/http/connection.hpp"

#include <sys/sendfile.h>

#include <algorithm>
#include <array>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cerrno>
#include <cstring>

#include "common/ip_endpoint.hpp"
#include "common/log.hpp"
#include "common/timeout.hpp"

namespace diskless::http {
namespace {

namespace beast = boost::beast;
using asio::ip::tcp;

constexpr std::size_t max_head_bytes = 8 << 10;
/// Files up to this size are read and leave together with the head; larger ones go from the page cache to the socket.
constexpr std::uint64_t small_file_bytes = 64 << 10;
/// One sendfile call: then others on this thread get their turn.
constexpr std::size_t sendfile_bytes = 2 << 20;
constexpr std::uint64_t tls_piece_bytes = 256 << 10;
constexpr std::chrono::seconds closing_time{2};

/// Nobody's, of a peer on this machine (a Unix socket).
IpAddress peer_of(const StreamSocket& socket) {
    error_code ec;
    const auto endpoint = socket.remote_endpoint(ec);
    const int family = ec ? AF_UNSPEC : endpoint.protocol().family();
    if (family != AF_INET && family != AF_INET6) return Ipv4Address{};
    asio::ip::tcp::endpoint peer;
    std::memcpy(peer.data(), endpoint.data(), std::min(endpoint.size(), peer.capacity()));
    return ip_address(peer.address());
}

/// The head as bytes, so that head and body leave in one call.
std::string head_of(const Answer& answer, bool keep_alive) {
    beast_http::response<beast_http::empty_body> head;
    head.version(11);
    head.result(answer.status);
    for (const auto& field : answer.headers) head.set(field.name_string(), field.value());
    head.set(beast_http::field::server, "diskless");
    if (answer.status != beast_http::status::not_modified) head.content_length(answer.length_bytes());
    head.keep_alive(keep_alive);
    std::string text = "HTTP/1.1 " + std::to_string(head.result_int()) + ' ' + std::string{head.reason()} + "\r\n";
    for (const auto& field : head) {
        text += std::string{field.name_string()} + ": " + std::string{field.value()} + "\r\n";
    }
    return text + "\r\n";
}

using PlainStream = beast::basic_stream<asio::generic::stream_protocol>;
using TlsStream = asio::ssl::stream<PlainStream>;

template<class Stream>
class Connection {
 public:
    static constexpr bool is_tls = std::is_same_v<Stream, TlsStream>;

    Connection(Stream stream, const Routes& routes, ConnectionLimits limits, ConnectionCounters counters)
        : stream_{std::move(stream)}, routes_{routes}, limits_{limits}, counters_{counters}, peer_{peer_of(socket())} {}

    asio::awaitable<void> run() {
        error_code ec;
        socket().set_option(tcp::no_delay{true}, ec);  // of a Unix socket: no such option, and no need
        if constexpr (is_tls) {
            transport().expires_after(limits_.idle);
            const auto [refused] = co_await stream_.async_handshake(asio::ssl::stream_base::server, nothrow_await);
            if (refused) {
                log::debug("http.tls_refused", "ip={} error=\"{}\"", peer_, refused.message());
                co_return;
            }
        }
        beast::flat_buffer buffer{max_head_bytes};
        bool keep_alive = true;
        while (keep_alive) {
            beast_http::request_parser<beast_http::string_body> parser;
            parser.header_limit(max_head_bytes);
            parser.body_limit(limits_.body_bytes);
            transport().expires_after(limits_.idle);
            const auto [read_error, n] = co_await beast_http::async_read(stream_, buffer, parser, nothrow_await);
            if (read_error) {
                co_await refuse(read_error);
                break;
            }
            counters_.requests.add();
            const Request request = parser.release();
            Answer answer = routes_.answer(request, peer_);
            if (const auto later = std::exchange(answer.later, nullptr)) answer = co_await later();
            keep_alive = request.keep_alive();
            log::trace("http.request", "ip={} status={}", peer_, static_cast<unsigned>(answer.status));
            if (!co_await send(answer, request.method() == beast_http::verb::head, keep_alive)) break;
        }
        if constexpr (is_tls) {
            transport().expires_after(closing_time);  // without "no more from me" the peer cannot tell an end from a cut (RFC 8446 6.1)
            (void)co_await stream_.async_shutdown(nothrow_await);
        }
        socket().shutdown(StreamSocket::shutdown_send, ec);
    }

 private:
    PlainStream& transport() noexcept { return beast::get_lowest_layer(stream_); }
    StreamSocket& socket() noexcept { return transport().socket(); }

    /// What was sent is no request: say so, where somebody is there to hear it.
    asio::awaitable<void> refuse(error_code why) {
        if (why == beast_http::error::end_of_stream || why == beast::error::timeout || why.category() == asio::error::get_system_category())
            co_return;
        const bool too_long =
            why == beast_http::error::header_limit || why == beast_http::error::buffer_overflow || why == beast_http::error::body_limit;
        const Answer answer = too_long ? plain(beast_http::status::request_header_fields_too_large, "the request is too long")
                                       : plain(beast_http::status::bad_request, "this is no HTTP request");
        (void)co_await send(answer, false, false);
    }

    asio::awaitable<bool> send(const Answer& answer, bool head_only, bool keep_alive) {
        const std::string head = head_of(answer, keep_alive);
        const bool has_body = !head_only && answer.status != beast_http::status::not_modified;
        std::string body;
        bool apart = false;
        if (has_body && answer.file) {
            apart = answer.file->length_bytes > small_file_bytes;
            if (!apart) {
                body.resize(answer.file->length_bytes);
                if (!answer.file->file->read(answer.file->offset_bytes, std::as_writable_bytes(std::span{body}))) co_return false;
            }
        } else if (has_body) {
            body = answer.text;
        }
        const std::array<asio::const_buffer, 2> pieces{asio::buffer(head), asio::buffer(body)};
        transport().expires_after(limits_.write);
        const auto [ec, n] = co_await asio::async_write(stream_, pieces, nothrow_await);
        counters_.sent_bytes.add(n);
        if (ec) co_return false;
        if (apart && !co_await send_file(*answer.file)) co_return false;
        if (has_body && answer.delivered) answer.delivered();
        co_return true;
    }

    asio::awaitable<bool> send_file(const FileStretch& stretch) {
        if constexpr (is_tls) {
            return send_enciphered(stretch);
        } else {
            return send_from_cache(stretch);
        }
    }

    asio::awaitable<bool> send_enciphered(const FileStretch& stretch) {
        std::vector<std::byte> piece(std::min<std::uint64_t>(stretch.length_bytes, tls_piece_bytes));
        for (std::uint64_t done = 0; done < stretch.length_bytes;) {
            const MutableByteSpan part = std::span{piece}.first(std::min<std::uint64_t>(piece.size(), stretch.length_bytes - done));
            if (!stretch.file->read(stretch.offset_bytes + done, part)) co_return false;
            transport().expires_after(limits_.write);
            const auto [ec, n] = co_await asio::async_write(stream_, asio::buffer(part.data(), part.size()), nothrow_await);
            counters_.sent_bytes.add(n);
            if (ec) co_return false;
            done += part.size();
        }
        co_return true;
    }

    asio::awaitable<bool> send_from_cache(const FileStretch& stretch) {
        transport().expires_never();
        error_code ec;
        socket().native_non_blocking(true, ec);
        auto at = static_cast<off_t>(stretch.offset_bytes);
        std::uint64_t left = stretch.length_bytes;
        while (left > 0) {
            const ssize_t n =
                ::sendfile(socket().native_handle(), stretch.file->descriptor(), &at, std::min<std::uint64_t>(left, sendfile_bytes));
            if (n > 0) {
                left -= static_cast<std::uint64_t>(n);
                counters_.sent_bytes.add(static_cast<std::uint64_t>(n));
                if (left > 0 && static_cast<std::size_t>(n) == sendfile_bytes) co_await asio::post(asio::use_awaitable);
                continue;
            }
            if (n == 0) co_return false;  // the file became shorter: the length we promised cannot be kept
            if (errno == EINTR) continue;
            if (errno != EAGAIN) co_return false;
            if (co_await wait_with_timeout(socket().async_wait(StreamSocket::wait_write, asio::deferred), limits_.write)) co_return false;
        }
        co_return true;
    }

    Stream stream_;
    const Routes& routes_;
    ConnectionLimits limits_;
    ConnectionCounters counters_;
    IpAddress peer_;
};

}  // namespace

asio::awaitable<void> serve_connection(StreamSocket socket, TlsContext* tls, const Routes& routes, ConnectionLimits limits,
                                       ConnectionCounters counters) {
    if (tls == nullptr) {
        Connection<PlainStream> connection{PlainStream{std::move(socket)}, routes, limits, counters};
        co_await connection.run();
    } else {
        Connection<TlsStream> connection{TlsStream{PlainStream{std::move(socket)}, *tls}, routes, limits, counters};
        co_await connection.run();
    }
}

asio::awaitable<void> refuse_connection(StreamSocket socket) {
    const Answer answer = plain(beast_http::status::service_unavailable, "too many connections, try again");
    const std::string text = head_of(answer, false) + answer.text;
    (void)co_await with_timeout(asio::async_write(socket, asio::buffer(text), asio::deferred), std::chrono::seconds{1});
}

}  // namespace diskless::http
