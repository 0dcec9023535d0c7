// Connection: one TCP connection and the only code that reads and writes its socket. A thin loop around the pure Endpoint: receive,
// process, send what that produced in one gather write. Lives on one strand; others reach it through the members that say "any thread".
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "services/iscsi/accounting.hpp"
#include "services/iscsi/endpoint.hpp"
#include "services/iscsi/shared.hpp"
#include "services/iscsi/tls.hpp"

namespace diskless::iscsi {

class Connection final : public std::enable_shared_from_this<Connection>, EndpointHost, TaskSink, BufferWaiter {
 public:
    using Spawn = std::function<void(asio::any_io_executor, std::function<asio::awaitable<void>()>)>;

    /// `socket` has its own strand as executor. `spawn` starts a coroutine that the service joins. `tls`: the peer speaks TLS.
    Connection(std::shared_ptr<Shared> shared, asio::ip::tcp::socket socket, Spawn spawn, TlsContext* tls = nullptr);
    ~Connection() override;

    /// From the first byte to the last; returns when nothing of this connection is left.
    asio::awaitable<void> run();

    [[nodiscard]] const asio::any_io_executor& strand() const noexcept { return strand_; }

    // Any thread:
    /// Ends the connection now. `why`: static, for the log.
    void drop(std::string_view why);
    /// Calls `listener` on this connection's strand when it has ended, or at once.
    void when_ended(std::function<void()> listener);
    /// The service will stop: an initiator with a session is asked to log out (RFC 7143 11.9.1), everyone else is stopped.
    void request_logout();
    /// The service stops: what is in flight ends, nothing new begins.
    void stop();
    /// Is anybody there? The kernel ends the connection when not even an acknowledgement comes back in time.
    void probe(std::chrono::milliseconds patience);
    /// Looks after timeouts; called about once a second.
    void sweep();
    /// Aborts the tasks of a reset that another session asked for; `done` is released when the last of them has ended.
    void abort(AbortScope scope, std::shared_ptr<void> done);
    /// The catalog has changed: is this session still welcome?
    void recheck();

 private:
    using Clock = std::chrono::steady_clock;

    // The loop
    asio::awaitable<void> serve();
    [[nodiscard]] Endpoint::Progress pass();
    asio::awaitable<void> wait_for_commands();
    asio::awaitable<void> receive(bool& socket_drained);
    asio::awaitable<void> wait_wake();
    void flush();
    void wait_writable();
    void wake();
    [[nodiscard]] bool over();
    void prepare_socket();
    void set_user_timeout(std::chrono::milliseconds timeout);
    void judge_probe(Clock::time_point now);
    /// After something happened outside the loop: send what it produced, and let the loop see.
    void settle();
    void lose(std::string_view why);
    void account();
    void end();

    // The same over TLS
    asio::awaitable<void> receive_tls();
    [[nodiscard]] bool receive_ciphertext();
    [[nodiscard]] bool take_plaintext();
    void flush_tls();
    void close_tls();

    // Endpoint's world
    [[nodiscard]] Welcome admit(const LoginIdentity& identity) override;
    [[nodiscard]] Welcome demand_proof(const std::vector<std::string>& users, const LoginIdentity& identity);
    [[nodiscard]] std::string_view target_or_discovery() const noexcept;
    void authentication_failed(std::string_view why, std::string_view user) override;
    void open_session(const Login& login) override;
    [[nodiscard]] std::optional<std::string> send_targets(std::string_view value) override;
    void abort_others(AbortScope scope, std::function<void()> then) override;
    void drop_others() override;
    void first_access(bool write) override;
    void task_finished(Task& task) noexcept override;
    void memory_available() noexcept override;

    asio::awaitable<void> begin_session();
    asio::awaitable<bool> await_end(std::shared_ptr<Connection> other, Clock::duration limit);
    void complete_tasks();
    void observe(boot::Step step);
    [[nodiscard]] bool is_system() const noexcept;

    const std::shared_ptr<Shared> shared_;
    asio::any_io_executor strand_;
    asio::ip::tcp::socket socket_;
    Spawn spawn_;
    std::string peer_;  // "address:port"
    std::optional<IpAddress> peer_address_;
    std::string local_;
    asio::steady_timer wake_;  // never expires by itself

    std::shared_ptr<SessionStatistics> statistics_ = std::make_shared<SessionStatistics>();
    Endpoint endpoint_;
    std::unique_ptr<TlsStream> tls_;
    std::size_t tls_covered_ = 0;  // of what to_send() shows, so much is in tls_->outgoing()
    Admitted admitted_;
    std::shared_ptr<OpenTarget> target_;
    scsi::ITNexus nexus_;
    std::uint16_t tsih_ = 0;
    bool opening_ = false;
    bool auth_failed_ = false;  // and told

    bool waiting_ = false;  // the loop waits for wake_
    bool reading_ = false;  // the loop waits for the peer
    bool write_blocked_ = false;
    bool lost_ = false;  // the socket has failed
    bool stopping_ = false;
    bool ended_ = false;
    std::string_view why_;  // of the end
    std::vector<std::function<void()>> listeners_;
    std::vector<std::shared_ptr<void>> reset_waiters_;
    std::atomic<Task*> finished_{nullptr};  // pushed from any thread, taken by complete_tasks()

    const Clock::time_point accepted_ = Clock::now();
    Clock::time_point last_received_ = accepted_;
    Clock::time_point last_progress_ = accepted_;  // received, or able to send again
    Clock::time_point last_ping_ = accepted_;
    Clock::time_point probed_{};  ///< the epoch: nobody asks whether the peer is there
    std::chrono::milliseconds probe_patience_{};
    std::vector<LunAccount> lun_accounts_;  // parallel to Session::lun_statistics()
    std::uint64_t counted_commands_ = 0, counted_reads_ = 0, counted_writes_ = 0;
};

}  // namespace diskless::iscsi
