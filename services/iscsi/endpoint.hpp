// Endpoint: one connection as a machine, from its first byte to its last: framing and digests, then the login, then the session
// (RFC 7143 6, 7, 11). Bytes in, bytes out; whoever owns a socket, a test or a fuzzer moves them:
//
//     receive into want(), tell received(n), then process() until it needs something; write what to_send() shows, tell written(n).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "services/iscsi/login.hpp"
#include "services/iscsi/receive_buffer.hpp"
#include "services/iscsi/session.hpp"

namespace diskless::iscsi {

class EndpointHost : public SessionHost, public Admission {
 public:
    /// The login has been negotiated. Answer, now or later, with Endpoint::open() or Endpoint::refuse().
    virtual void open_session(const Login& login) = 0;
};

/// A Login Response on its way out.
struct LoginOut {
    wire::Bhs bhs{};
    std::string text;
};

class Endpoint {
 public:
    Endpoint(const Limits& limits, EndpointHost& host, TaskSink& sink, BufferWaiter& waiter, BufferPool& buffers,
             SessionStatistics& statistics);

    /// Where the next bytes go: the data segment's own place first, if one is under way. Two spans, the second may be empty.
    [[nodiscard]] std::array<MutableByteSpan, 2> want() noexcept;
    void received(std::size_t bytes) noexcept;

    /// See Session::set_time().
    void set_time(std::chrono::steady_clock::time_point now) noexcept {
        if (session_) session_->set_time(now);
    }

    enum class Progress : std::uint8_t {
        starved,  ///< everything that arrived is used up
        full,     ///< a good gather write is ready: send it, then call again
        more,     ///< the pass was long enough: let others run, then call again
        blocked,  ///< something has to be sent, or the session opened, before the next PDU may be read
    };
    [[nodiscard]] Progress process();

    /// The next bytes to write, or nothing.
    [[nodiscard]] std::span<iovec> to_send();
    void written(std::size_t bytes);

    /// The answer to EndpointHost::open_session().
    void open(const SessionSetup& setup, std::uint16_t tsih);
    void refuse(wire::LoginStatus status, std::string_view reason);

    /// Nothing more will be said: close the connection. Also when want() could still take bytes.
    [[nodiscard]] bool finished() noexcept;
    [[nodiscard]] std::string_view failure() const noexcept;  ///< why, for the log; static; empty: orderly

    [[nodiscard]] Session* session() noexcept { return session_.get(); }
    [[nodiscard]] const Login* login() const noexcept { return login_.get(); }
    /// Gives back what a quiet connection does not need.
    void trim() noexcept;

    /// One pass over the input handles at most so many PDUs before other connections get their turn.
    static constexpr unsigned max_pdus_per_pass = 128;
    /// So much data makes a gather write worth its system call; more would only leave the CPU's cache before it is sent.
    static constexpr std::uint64_t full_bytes = std::uint64_t{128} << 10;

 private:
    enum class Step : std::uint8_t { header, data, trailer, lost };

    [[nodiscard]] bool advance();
    [[nodiscard]] bool read_header();
    [[nodiscard]] bool read_data() noexcept;
    [[nodiscard]] bool read_trailer();
    void finish_pdu(bool data_digest_holds);
    void login_pdu();
    void lose(std::string_view reason) noexcept;
    [[nodiscard]] bool may_read() const noexcept;
    [[nodiscard]] Batch& batch();

    Limits limits_;
    EndpointHost& host_;
    TaskSink& sink_;
    BufferWaiter& waiter_;
    BufferPool& buffers_;
    SessionStatistics& statistics_;

    ReceiveBuffer input_;
    Step step_ = Step::header;
    wire::Digests digests_;
    wire::PduLayout layout_;
    wire::Bhs bhs_{};
    MutableByteSpan place_;       // where the rest of the data segment goes
    std::size_t to_discard_ = 0;  // or how much of it nobody wants
    std::vector<std::byte> collected_;
    wire::Crc32c data_crc_;

    std::unique_ptr<Login> login_;  // its identity is of interest as long as the connection lives
    std::optional<LoginOut> login_out_;
    bool opening_ = false;
    bool refused_ = false;
    std::unique_ptr<Session> session_;
    std::unique_ptr<Batch> batch_;
    bool login_in_batch_ = false;
    std::string_view failure_;
};

}  // namespace diskless::iscsi
