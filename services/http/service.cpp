#include "services/http/service.hpp"

#include <fmt/format.h>

#include <boost/asio/cancellation_state.hpp>
#include <cstring>

#include "boot/script.hpp"
#include "common/ip_endpoint.hpp"
#include "services/http/handlers/handlers.hpp"
#include "services/http/listener.hpp"

namespace diskless::http {

using asio::ip::tcp;

namespace {

Listener::Limits limits_of(const config::Http& config) {
    return {.max_connections = config.max_connections, .connection = {.idle = config.idle_timeout, .write = config.write_timeout}};
}

/// TLS 1.2 and 1.3; the key decides between ECDSA and RSA. Throws std::runtime_error with one clear line.
TlsContext tls_context(const config::Http& config) {
    TlsContext context{TlsContext::tls_server};
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    context.set_options(SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
    const auto must = [](error_code ec, std::string_view key, const std::filesystem::path& file) {
        if (ec) throw std::runtime_error{fmt::format("[http] {} {}: {}; name a PEM file that fits", key, file.native(), ec.message())};
    };
    error_code ec;
    context.use_certificate_chain_file(config.tls_cert.native(), ec);
    must(ec, "tls_cert", config.tls_cert);
    context.use_private_key_file(config.tls_key.native(), TlsContext::pem, ec);
    must(ec, "tls_key", config.tls_key);
    return context;
}

}  // namespace

class HttpService::Worker {
 public:
    Worker(const config::Http& config, const Deps& deps)
        : port_{config.port}, tls_port_{config.tls_port}, listener_{deps.lanes, routes_, limits_of(config), deps.counters} {
        routes_.set_hint("boot files are under /boot/, scripts at /boot.ipxe");
        routes_.add("/boot/", boot_files_handler(deps, std::string_view{"/boot/"}.size()));
        routes_.add(std::string{boot::script_path}, boot_script_handler(deps));
        routes_.add("/healthz", health_handler(deps.version));
        routes_.add("/metrics", metrics_handler(deps.counters));
        // Everything else as TFTP has it: loaders ask over HTTP for the paths they know.
        routes_.add("/", boot_files_handler(deps, 1));
        if (config.tls_cert.empty()) return;
        tls_.emplace(tls_context(config));
        tls_listener_.emplace(deps.lanes, routes_, limits_of(config), deps.counters, &*tls_);
    }

    void bind(const IpAddress& address) {
        bind(listener_, address, port_, "port");
        if (tls_listener_) bind(*tls_listener_, address, tls_port_, "tls_port");
    }

    [[nodiscard]] Listener& listener() noexcept { return listener_; }
    [[nodiscard]] std::optional<Listener>& tls_listener() noexcept { return tls_listener_; }

    /// Both end when it is cancelled.
    asio::awaitable<void> run() {
        if (!tls_listener_) co_return co_await listener_.run();
        TaskGroup enciphered{tls_listener_->executor(), "https"};
        enciphered.spawn([this] { return tls_listener_->run(); });
        co_await listener_.run();
        enciphered.cancel();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await enciphered.join();
    }

 private:
    static void bind(Listener& listener, const IpAddress& address, std::uint16_t port, std::string_view key) {
        const error_code ec = listener.bind(tcp::endpoint{asio_address(address), port});
        if (!ec) return;
        throw std::runtime_error{fmt::format("HTTP: cannot bind {}:{}: {}; {}", address.host(), port,
                                             ec == asio::error::address_in_use ? "the port is in use" : ec.message(),
                                             ec == asio::error::access_denied
                                                 ? std::string{"start as root or with CAP_NET_BIND_SERVICE, or use a port above 1023"}
                                                 : fmt::format("stop the other server, or set [http] {}", key))};
    }

    std::uint16_t port_, tls_port_;
    Routes routes_;
    std::optional<TlsContext> tls_;
    Listener listener_;
    std::optional<Listener> tls_listener_;
};

namespace {

std::uint16_t port_of(const Listener& listener) {
    const Listener::Endpoint endpoint = listener.local_endpoint();
    tcp::endpoint local;
    std::memcpy(local.data(), endpoint.data(), std::min(endpoint.size(), local.capacity()));
    return local.port();
}

}  // namespace

HttpService::HttpService(const config::Http& config, const Deps& deps) : worker_{std::make_unique<Worker>(config, deps)} {}
HttpService::~HttpService() = default;
void HttpService::bind(const IpAddress& address) { worker_->bind(address); }
asio::any_io_executor HttpService::executor() const { return worker_->listener().executor(); }
asio::awaitable<void> HttpService::run() { return worker_->run(); }
std::uint16_t HttpService::port() const { return port_of(worker_->listener()); }
std::uint16_t HttpService::tls_port() const { return worker_->tls_listener() ? port_of(*worker_->tls_listener()) : 0; }

}  // namespace diskless::http
