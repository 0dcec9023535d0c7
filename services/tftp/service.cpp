#include "services/tftp/service.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <limits>
#include <map>

#include "common/ip_endpoint.hpp"
#include "common/log.hpp"
#include "common/task_group.hpp"
#include "common/text.hpp"
#include "services/tftp/session.hpp"

namespace diskless::tftp {
namespace {

using asio::ip::udp;

constexpr int receive_buffer_bytes = 4 << 20;    // hundreds of machines switched on in one moment
constexpr std::size_t max_request_bytes = 2048;  // a name of BootFiles::max_name_bytes, a mode and every option fit

/// Counts as long as it lives, however the coroutine that holds it ends.
class Level {
 public:
    explicit Level(Counter& counter) : counter_{counter} { counter_.add(); }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { counter_.sub(); }

 private:
    Counter& counter_;
};

IpAddress address_of(const udp::endpoint& endpoint) { return ip_address(endpoint.address()); }

std::string_view name_of(Session::Outcome outcome) noexcept {
    switch (outcome) {
        case Session::Outcome::done: return "done";
        case Session::Outcome::client_aborted: return "aborted";
        case Session::Outcome::gave_up: return "timeout";
        case Session::Outcome::failed: return "failed";
        case Session::Outcome::stopped: return "stopped";
    }
    return {};
}

}  // namespace

class TftpService::Worker {
 public:
    Worker(config::Tftp config, Deps deps)
        : config_{std::move(config)},
          deps_{std::move(deps)},
          strand_{deps_.lanes.next()},
          socket_{strand_},
          transfers_{strand_, "tftp"},
          requests_{deps_.counters.counter("diskless_tftp_requests_total")},
          dropped_{deps_.counters.counter("diskless_tftp_dropped_total")},
          refused_{deps_.counters.counter("diskless_tftp_refused_total")},
          sent_bytes_{deps_.counters.counter("diskless_tftp_sent_bytes_total")},
          active_{deps_.counters.counter("diskless_tftp_transfers")} {}

    void bind(const IpAddress& address) {
        const udp::endpoint endpoint{asio_address(address), config_.port};
        error_code ec;
        socket_.open(endpoint.protocol(), ec);
        if (!ec && address.v6()) bind_early(socket_);
        if (!ec) socket_.bind(endpoint, ec);
        if (ec) {
            const bool forbidden = ec == asio::error::access_denied;
            throw std::runtime_error{fmt::format("TFTP: cannot bind {}:{}: {}{}", address.host(), config_.port,
                                                 ec == asio::error::address_in_use ? "the port is in use" : ec.message(),
                                                 forbidden ? "; start as root or with CAP_NET_BIND_SERVICE, or use a port above 1023"
                                                           : "; stop the other server, or set [tftp] port")};
        }
        // Without the privilege the kernel's own limit holds, which is better than its default.
        if (::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
            (void)::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
        local_ = socket_.local_endpoint().address();
    }

    [[nodiscard]] asio::any_io_executor executor() const { return strand_; }
    [[nodiscard]] std::uint16_t port() const { return socket_.local_endpoint().port(); }

    asio::awaitable<void> run() {
        std::array<std::byte, max_request_bytes> room{};
        while (true) {
            udp::endpoint client;
            const auto [ec, n] = co_await socket_.async_receive_from(asio::buffer(room), client, nothrow_await);
            if (ec == asio::error::operation_aborted) break;
            if (!ec) handle(ByteSpan{room}.first(n), client);
        }
        transfers_.cancel();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await transfers_.join();
    }

 private:
    struct Running {
        std::vector<std::byte> request;  // the datagram that began it
        std::shared_ptr<Session> session;
    };

    void handle(ByteSpan datagram, const udp::endpoint& client) {
        const auto packet = wire::decode(datagram);
        if (!packet) {
            dropped_.add();
            return;
        }
        if (std::holds_alternative<wire::Wrq>(*packet))
            return refuse(client, wire::ErrorCode::access_violation, "this server is read-only");
        const auto* request = std::get_if<wire::Rrq>(&*packet);
        if (request == nullptr) {
            const auto known = config_.single_port ? running_.find(client) : running_.end();
            if (known != running_.end()) return known->second.session->deliver({datagram.begin(), datagram.end()});
            dropped_.add();
            return;
        }
        requests_.add();
        if (!is_echo(datagram, client)) serve(datagram, *request, client);
    }

    /// A client repeats a request whose answer was lost; the session sends that again by itself. But a machine that was reset counts its
    /// ports from the beginning again: another request from the port of a transfer, or the same after silence, ends that transfer.
    bool is_echo(ByteSpan datagram, const udp::endpoint& client) {
        const auto known = running_.find(client);
        if (known == running_.end()) return false;
        if (std::ranges::equal(known->second.request, datagram) && !known->second.session->is_forsaken()) return true;
        known->second.session->stop();
        running_.erase(known);
        return false;
    }

    void serve(ByteSpan datagram, const wire::Rrq& request, const udp::endpoint& client) {
        using enum wire::ErrorCode;
        if (request.mode == wire::Mode::other) return refuse(client, illegal_operation, "only the modes octet and netascii are served");
        if (running_.size() >= config_.max_transfers) return refuse(client, not_defined, "the server is busy, try again");
        if (transfers_of(client) >= config_.max_transfers_per_client)
            return refuse(client, not_defined, "this client has too many transfers under way");
        auto content = find(request.filename, client);
        if (!content) {
            log::info("tftp.not_found", "file=\"{}\" ip={}", escaped(request.filename), address_of(client));
            return refuse(client, file_not_found, "there is no such file");
        }
        if (request.mode == wire::Mode::netascii) content = content->as_netascii();
        if (!content) return refuse(client, not_defined, "too large for mode netascii, ask in mode octet (binary)");
        start(datagram, request, client, std::move(*content));
    }

    /// In the map's order a machine's ports lie together.
    [[nodiscard]] std::size_t transfers_of(const udp::endpoint& client) const {
        const auto first = running_.lower_bound({client.address(), 0});
        const auto last = running_.upper_bound({client.address(), std::numeric_limits<std::uint16_t>::max()});
        return static_cast<std::size_t>(std::distance(first, last));
    }

    /// A socket of its own, whose port is the transfer's identifier; or the one that all have.
    udp::socket socket_for(const udp::endpoint& client, const asio::any_io_executor& strand, error_code& ec) {
        udp::socket socket{strand};
        if (config_.single_port) {
            const int same = ::fcntl(socket_.native_handle(), F_DUPFD_CLOEXEC, 0);
            if (same < 0) {
                ec.assign(errno, boost::system::system_category());
                return socket;
            }
            socket.assign(client.protocol(), same, ec);
            return socket;
        }
        socket.open(client.protocol(), ec);
        if (!ec) socket.bind({local_, 0}, ec);  // the answers come from the address that was asked
        if (!ec) socket.non_blocking(true, ec);
        return socket;
    }

    std::optional<Content> find(std::string_view name, const udp::endpoint& client) const {
        const auto clean = storage::BootFiles::clean(name);
        if (!clean) return std::nullopt;
        // An administrator's own file wins over the one that would be made.
        if (auto file = deps_.files.open(*clean)) return Content{std::move(*file)};
        if (!deps_.generated) return std::nullopt;
        auto text = deps_.generated(*clean, address_of(client));
        return text ? std::optional{Content{std::move(*text)}} : std::nullopt;
    }

    void start(ByteSpan datagram, const wire::Rrq& request, const udp::endpoint& client, Content content) {
        const asio::any_io_executor strand = deps_.lanes.next();
        error_code ec;
        udp::socket socket = socket_for(client, strand, ec);
        if (ec) {
            log::error("tftp.failed", "error=\"{}\"", ec.message());
            return refuse(client, wire::ErrorCode::not_defined, "the server has no socket left, try again");
        }
        const TransferLimits limits{.max_blksize = config_.max_blksize,
                                    .max_windowsize = config_.max_windowsize,
                                    .retransmit = config_.retransmit,
                                    .max_retransmits = config_.max_retransmits};
        auto session = std::make_shared<Session>(std::move(socket), config_.single_port ? Session::Port::shared : Session::Port::own,
                                                 client, std::move(content), request.options, limits);
        running_.insert_or_assign(client, Running{{datagram.begin(), datagram.end()}, session});
        transfers_.spawn(strand, [this, session, client, name = std::string{request.filename}]() -> asio::awaitable<void> {
            const Level active{active_};
            const Session::Outcome outcome = co_await session->run();
            asio::post(strand_, [this, session, client] { forget(client, *session); });
            log::debug("tftp.transfer", "file=\"{}\" ip={} bytes={} outcome={}", escaped(name), address_of(client), session->size_bytes(),
                       name_of(outcome));
            if (outcome == Session::Outcome::done) finished(name, client, session->size_bytes());
        });
    }

    void forget(const udp::endpoint& client, const Session& session) {
        const auto known = running_.find(client);
        if (known != running_.end() && known->second.session.get() == &session) running_.erase(known);
    }

    void finished(const std::string& name, const udp::endpoint& client, std::uint64_t size_bytes) {
        sent_bytes_.add(size_bytes);
        const IpAddress address = address_of(client);
        const auto catalog = deps_.catalog.get();
        const boot::Client* known = boot::client_at(*catalog, deps_.addresses, address);
        const auto mac = deps_.addresses.mac_of(address);
        if (known == nullptr && !mac) return;
        const auto clean = storage::BootFiles::clean(name).value_or(name);
        deps_.observer.observe({.step = boot::step_of_file(clean),
                                .mac = mac                   ? *mac
                                       : known->macs.empty() ? MacAddress{}
                                                             : known->macs.front(),
                                .client = known != nullptr ? known->name : "",
                                .detail = fmt::format("{} by TFTP, {} KiB", escaped(clean), (size_bytes + 1023) / 1024),
                                .at = std::chrono::system_clock::now()});
    }

    void refuse(const udp::endpoint& client, wire::ErrorCode code, std::string_view text) {
        refused_.add();
        std::vector<std::byte> error;
        wire::encode_error(code, text, error);
        error_code ignored;
        socket_.send_to(asio::buffer(error), client, 0, ignored);
    }

    config::Tftp config_;
    Deps deps_;
    asio::any_io_executor strand_;
    udp::socket socket_;
    asio::ip::address local_;
    TaskGroup transfers_;
    std::map<udp::endpoint, Running> running_;
    Counter& requests_;
    Counter& dropped_;
    Counter& refused_;
    Counter& sent_bytes_;
    Counter& active_;
};

TftpService::TftpService(config::Tftp config, Deps deps) : worker_{std::make_shared<Worker>(std::move(config), std::move(deps))} {}
TftpService::~TftpService() = default;
void TftpService::bind(const IpAddress& address) { worker_->bind(address); }
asio::any_io_executor TftpService::executor() const { return worker_->executor(); }
asio::awaitable<void> TftpService::run() { return worker_->run(); }
std::uint16_t TftpService::port() const { return worker_->port(); }

}  // namespace diskless::tftp
