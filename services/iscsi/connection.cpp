#include "services/iscsi/connection.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "common/ip_endpoint.hpp"
#include "common/log.hpp"
#include "common/text.hpp"

namespace diskless::iscsi {
namespace {

// Keepalive finds a silent peer that is gone; how long it may take is TCP_USER_TIMEOUT's business (tcp(7)).
constexpr int keepalive_idle_s = 60;
constexpr int keepalive_interval_s = 15;
constexpr int keepalive_probes = 8;
/// Silence after which a connection gives its spare memory back.
constexpr std::chrono::seconds quiet_period{2};

void set_option(int fd, int level, int name, int value) noexcept { ::setsockopt(fd, level, name, &value, sizeof value); }

std::string print(const asio::ip::tcp::endpoint& endpoint) {
    const auto address = endpoint.address();
    return address.is_v6() ? fmt::format("[{}]:{}", address.to_string(), endpoint.port())
                           : fmt::format("{}:{}", address.to_string(), endpoint.port());
}

}  // namespace

Connection::Connection(std::shared_ptr<Shared> shared, asio::ip::tcp::socket socket, Spawn spawn, TlsContext* tls)
    : shared_{std::move(shared)},
      strand_{socket.get_executor()},
      socket_{std::move(socket)},
      spawn_{std::move(spawn)},
      wake_{strand_, asio::steady_timer::time_point::max()},
      endpoint_{shared_->limits, *this, *this, *this, shared_->buffers, *statistics_},
      tls_{tls != nullptr ? std::make_unique<TlsStream>(*tls) : nullptr} {
    error_code ignored;
    const auto remote = socket_.remote_endpoint(ignored);
    peer_ = print(remote);
    peer_address_ = ip_address(remote.address());
    local_ = print(socket_.local_endpoint(ignored));
}

Connection::~Connection() = default;

void Connection::set_user_timeout(std::chrono::milliseconds timeout) {
    set_option(socket_.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(timeout.count()));
}

void Connection::prepare_socket() {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    const int fd = socket_.native_handle();
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
    set_user_timeout(shared_->config.session_timeout);
}

asio::awaitable<void> Connection::run() {
    co_await asio::this_coro::throw_if_cancelled(false);
    prepare_socket();
    shared_->counters.connections.add();
    co_await serve();
    co_await wait_for_commands();
    end();
}

// The whole life of a connection: use up what has arrived, send what that produced, receive more.
asio::awaitable<void> Connection::serve() {
    bool socket_drained = true;
    while (!over()) {
        const auto progress = pass();
        if (over()) break;
        if (stopping_) {
            const Session* session = endpoint_.session();
            if (!opening_ && (session == nullptr || (session->quiet() && !session->wants_to_send() && !write_blocked_))) break;
            co_await wait_wake();
        } else if (progress == Endpoint::Progress::more) {
            co_await asio::post(strand_, asio::use_awaitable);
        } else if (progress == Endpoint::Progress::blocked) {
            if (write_blocked_ || opening_) co_await wait_wake();
        } else {
            co_await receive(socket_drained);
        }
    }
}

// Uses up what has arrived. Large answers leave on the way, for as long as the peer takes them and the turn lasts.
Endpoint::Progress Connection::pass() {
    constexpr int max_writes = 16;
    Endpoint::Progress progress = endpoint_.process();
    flush();
    for (int writes = 1; progress == Endpoint::Progress::full && !write_blocked_ && !over(); ++writes) {
        if (writes == max_writes) return Endpoint::Progress::more;
        progress = endpoint_.process();
        flush();
    }
    // The peer takes no more: what it asks for next is read when there is room for it, not into memory where it grows cold.
    return progress == Endpoint::Progress::full ? Endpoint::Progress::blocked : progress;
}

asio::awaitable<void> Connection::receive(bool& socket_drained) {
    if (tls_) co_return co_await receive_tls();
    const auto want = endpoint_.want();
    std::size_t received = 0;
    error_code error;
    if (!socket_drained) {
        std::array<iovec, 2> pieces = {iovec{want[0].data(), want[0].size()}, iovec{want[1].data(), want[1].size()}};
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = want[1].empty() ? 1 : 2;
        const ssize_t n = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT);
        if (n > 0) {
            received = static_cast<std::size_t>(n);
        } else if (n == 0) {
            error = asio::error::eof;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            error.assign(errno, boost::system::system_category());
        }
    }
    if (received == 0 && !error) {
        const std::array<asio::mutable_buffer, 2> buffers = {asio::buffer(want[0].data(), want[0].size()),
                                                             asio::buffer(want[1].data(), want[1].size())};
        reading_ = true;
        std::tie(error, received) = co_await socket_.async_receive(buffers, nothrow_await);
        reading_ = false;
    }
    if (error) {
        // Aborted: somebody wants the loop's attention, or drop() has said why already.
        if (error != asio::error::operation_aborted) lose(error == asio::error::eof ? "closed_by_peer" : "connection_lost");
        co_return;
    }
    // A read that did not fill its room has emptied the socket: asking again at once would only cost a system call.
    socket_drained = received < want[0].size() + want[1].size();
    last_progress_ = last_received_ = Clock::now();
    endpoint_.set_time(last_received_);
    endpoint_.received(received);
}

asio::awaitable<void> Connection::wait_wake() {
    waiting_ = true;
    co_await wake_.async_wait(nothrow_await);
    waiting_ = false;
}

void Connection::wake() {
    if (waiting_) wake_.cancel();
}

bool Connection::over() { return lost_ || endpoint_.finished(); }

void Connection::lose(std::string_view why) {
    if (why_.empty()) why_ = why;
    lost_ = true;
}

// One gather write for all that is ready; no PDU waits for another one's disk.
void Connection::flush() {
    endpoint_.set_time(Clock::now());
    if (tls_) return flush_tls();
    while (!write_blocked_ && !lost_) {
        const std::span<iovec> pieces = endpoint_.to_send();
        if (pieces.empty()) return;
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = pieces.size();
        const ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            endpoint_.written(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_writable();
        } else if (errno != EINTR) {
            lose("connection_lost");
        }
    }
}

void Connection::wait_writable() {
    write_blocked_ = true;
    socket_.async_wait(asio::ip::tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
        self->write_blocked_ = false;
        self->last_progress_ = Clock::now();
        // Aborted without an end: somebody cancelled the reading side to get the loop's attention.
        if (error && error != asio::error::operation_aborted) self->lose("connection_lost");
        self->settle();
    });
}

void Connection::settle() {
    if (socket_.is_open()) {
        flush();
        error_code ignored;
        if (reading_ && (over() || stopping_)) socket_.cancel(ignored);
    }
    wake();
}

// Nothing of a session may touch a disk after its end has been told: what is with a disk now has to come back first.
asio::awaitable<void> Connection::wait_for_commands() {
    error_code ignored;
    if (tls_) close_tls();
    socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    if (Session* session = endpoint_.session()) session->abort_all();
    while (opening_ || write_blocked_ || (endpoint_.session() != nullptr && !endpoint_.session()->quiet())) co_await wait_wake();
}

void Connection::end() {
    account();
    shared_->counters.connections.sub();
    if (endpoint_.session() != nullptr) shared_->counters.sessions.sub();
    if (!endpoint_.failure().empty()) {
        shared_->counters.protocol_errors.add();
        if (why_.empty() || why_ == "closed_by_peer") why_ = endpoint_.failure();
    }
    if (endpoint_.session() != nullptr) {
        log::info("session.closed", "initiator={} target={} from={} tsih={} reason={} commands={} read_bytes={} written_bytes={}",
                  escaped(endpoint_.login()->identity().initiator_name), target_ ? target_->iqn() : "discovery", peer_, tsih_,
                  why_.empty() ? "logout" : why_, statistics_->commands.value(), statistics_->read_bytes.value(),
                  statistics_->written_bytes.value());
    } else if (!endpoint_.failure().empty() && endpoint_.failure() != "not_admitted" && !auth_failed_ && shared_->failures.allow()) {
        log::info("login.failed", "from={} reason={}", peer_, endpoint_.failure());
    }
    if (target_) target_->units().detach(nexus_);
    if (tsih_ != 0) shared_->sessions.remove(tsih_);
    target_.reset();
    ended_ = true;
    reset_waiters_.clear();
    for (const auto& listener : std::exchange(listeners_, {})) listener();
}

void Connection::account() {
    count_new(shared_->counters.commands, statistics_->commands.value(), counted_commands_);
    count_new(shared_->counters.read_bytes, statistics_->read_bytes.value(), counted_reads_);
    count_new(shared_->counters.written_bytes, statistics_->written_bytes.value(), counted_writes_);
    const Session* session = endpoint_.session();
    if (session == nullptr || !target_) return;
    const auto& luns = session->lun_statistics();
    for (std::size_t i = lun_accounts_.size(); i < luns.size(); ++i)
        lun_accounts_.emplace_back(luns[i]->io, LunCounters{shared_->registry, target_->iqn(), luns[i]->lun});
    for (LunAccount& account : lun_accounts_) account.settle();
}

void Connection::drop(std::string_view why) {
    asio::post(strand_, [self = shared_from_this(), why] {
        if (self->ended_) return;
        self->lose(why);
        self->settle();
    });
}

void Connection::when_ended(std::function<void()> listener) {
    asio::post(strand_, [self = shared_from_this(), listener = std::move(listener)]() mutable {
        if (self->ended_) return listener();
        self->listeners_.push_back(std::move(listener));
    });
}

void Connection::request_logout() {
    asio::post(strand_, [self = shared_from_this()] {
        Session* session = self->endpoint_.session();
        if (session == nullptr || !self->target_ || self->over()) return self->stop();
        session->request_logout(1);
        self->settle();
    });
}

void Connection::stop() {
    asio::post(strand_, [self = shared_from_this()] {
        if (self->why_.empty()) self->why_ = "server_stops";
        self->stopping_ = true;
        self->settle();
    });
}

void Connection::probe(std::chrono::milliseconds patience) {
    asio::post(strand_, [self = shared_from_this(), patience] {
        Session* session = self->endpoint_.session();
        if (session == nullptr || !self->socket_.is_open()) return;
        self->set_user_timeout(patience);
        self->probed_ = self->last_ping_ = Clock::now();
        self->probe_patience_ = patience;
        session->ping();
        self->settle();
    });
}

// TCP's own timeout speaks only when it retransmits, and between two retransmissions to a machine that has been silent before the probe
// there may be minutes.
void Connection::judge_probe(Clock::time_point now) {
    if (probed_ == Clock::time_point{} || now - probed_ < probe_patience_) return;
    tcp_info info{};
    socklen_t bytes = sizeof info;
    const bool known = ::getsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0;
    if (known && info.tcpi_unacked != 0 && std::chrono::milliseconds{info.tcpi_last_ack_recv} > now - probed_) return lose("silent");
    if (now - probed_ < 2 * probe_patience_) return;
    probed_ = {};
    set_user_timeout(shared_->config.session_timeout);
}

void Connection::sweep() {
    asio::post(strand_, [self = shared_from_this()] {
        if (!self->socket_.is_open()) return;
        const auto now = Clock::now();
        Session* session = self->endpoint_.session();
        if (session == nullptr) {
            if (now - self->accepted_ > self->shared_->config.login_timeout) self->lose("login_timeout");
            return self->settle();
        }
        self->account();
        self->judge_probe(now);
        // Others wait for memory that this peer holds by neither sending nor taking anything.
        if (self->shared_->buffers.somebody_waits() && session->holds_memory_idly() &&
            now - self->last_progress_ > self->shared_->config.probe_timeout) {
            self->lose("stuck_while_memory_is_short");
        }
        // A missed answer never ends a session: some firmware does not answer. The ping makes TCP find out whether anybody is there.
        if (now - std::max(self->last_received_, self->last_ping_) > self->shared_->config.ping_interval) {
            self->last_ping_ = now;
            session->ping();
        } else if (now - self->last_received_ > quiet_period) {
            self->endpoint_.trim();
            if (self->tls_) self->tls_->trim();
        }
        self->settle();
    });
}

void Connection::abort(AbortScope scope, std::shared_ptr<void> done) {
    asio::post(strand_, [self = shared_from_this(), scope, done = std::move(done)]() mutable {
        Session* session = self->endpoint_.session();
        if (session == nullptr || self->ended_) return;
        session->abort(scope);
        if (!session->aborts_done()) self->reset_waiters_.push_back(std::move(done));
        self->settle();
    });
}

void Connection::recheck() {
    asio::post(strand_, [self = shared_from_this()] {
        if (!self->target_ || self->ended_) return;
        const auto catalog = self->shared_->catalog.get();
        const AccessRules rules{*catalog, self->shared_->addresses, self->shared_->config.target_prefix};
        const auto& name = self->endpoint_.login()->identity().initiator_name;
        if (rules.admit(self->target_->iqn(), {.initiator_name = name, .address = self->peer_address_}).status ==
            wire::LoginStatus::success)
            return;
        self->lose("no_longer_admitted");
        self->settle();
    });
}

// On a thread of the disk's choosing. Only the push that finds the list empty posts, and what it pushed is taken by exactly that post:
// until then this object lives.
void Connection::task_finished(Task& task) noexcept {
    Task* head = finished_.load(std::memory_order_relaxed);
    do {
        task.next_finished = head;
    } while (!finished_.compare_exchange_weak(head, &task, std::memory_order_release, std::memory_order_relaxed));
    if (head == nullptr) asio::post(strand_, [self = shared_from_this()] { self->complete_tasks(); });
}

void Connection::complete_tasks() {
    Task* newest = finished_.exchange(nullptr, std::memory_order_acquire);
    Task* oldest = nullptr;
    while (newest != nullptr) {
        Task* next = std::exchange(newest->next_finished, oldest);
        oldest = std::exchange(newest, next);
    }
    Session* session = endpoint_.session();
    while (oldest != nullptr) {
        Task* next = oldest->next_finished;
        session->complete(*oldest);
        oldest = next;
    }
    if (session->aborts_done()) reset_waiters_.clear();
    settle();
}

void Connection::memory_available() noexcept {
    if (auto self = weak_from_this().lock()) {
        asio::post(strand_, [self = std::move(self)] {
            if (Session* session = self->endpoint_.session(); session != nullptr && !self->ended_) {
                session->memory_available();
                self->settle();
            }
        });
    }
}

}  // namespace diskless::iscsi
