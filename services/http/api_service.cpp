#include "services/http/api_service.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/thread_pool.hpp>

#include "common/log.hpp"
#include "services/http/handlers/handlers.hpp"
#include "services/http/listener.hpp"

namespace diskless::http {

namespace fs = std::filesystem;
using Unix = asio::local::stream_protocol;

namespace {

constexpr Listener::Limits limits{.max_connections = 64, .connection = {.body_bytes = 64 << 10}};
constexpr std::size_t max_path_bytes = sizeof(sockaddr_un::sun_path) - 1;

/// A socket nobody listens on any more.
bool is_left_over(const fs::path& socket) {
    struct stat status{};
    if (::lstat(socket.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    asio::io_context context;
    Unix::socket probe{context};
    error_code ec;
    probe.connect(Unix::endpoint{socket.string()}, ec);
    return ec == asio::error::connection_refused;
}

}  // namespace

class ApiService::Worker {
 public:
    explicit Worker(const Deps& deps) : listener_{deps.lanes, routes_, limits, deps.counters} {
        routes_.set_hint("the API begins with /api/v1/", error_answer);
        routes_.add("/healthz", health_handler(deps.version));
        routes_.add("/metrics", metrics_handler(deps.counters));
        const Threads threads{.slow = slow_.get_executor(), .copying = copying_.get_executor()};
        if (deps.images != nullptr) add_image_routes(routes_, *deps.images, threads);
        if (deps.disks != nullptr) add_disk_routes(routes_, *deps.disks, threads);
        if (deps.boots != nullptr) add_client_routes(routes_, *deps.boots, threads);
        if (deps.leases != nullptr && deps.catalog != nullptr) add_lease_routes(routes_, *deps.leases, *deps.catalog, threads);
        if (deps.sessions == nullptr) return;
        routes_.add("/api/v1/sessions", sessions_handler(*deps.sessions));
        routes_.add(beast_http::verb::delete_, "/api/v1/sessions/", drop_session_handler(*deps.sessions));
    }
    ~Worker() {
        if (!socket_.empty()) ::unlink(socket_.c_str());
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void bind(const fs::path& socket) {
        const auto refuse = [&](std::string_view why) {
            throw std::runtime_error{
                fmt::format("API: cannot listen on {}: {}; set [server] api_socket to another path", socket.string(), why)};
        };
        if (socket.string().size() > max_path_bytes) {
            // Not a reason to boot nobody.
            return log::warn("api.off", "because=\"the path {} is longer than {} bytes\" remedy=\"set [server] api_socket\"",
                             socket.string(), max_path_bytes);
        }
        std::error_code made;
        fs::create_directories(socket.parent_path(), made);
        if (is_left_over(socket)) ::unlink(socket.c_str());
        const mode_t before = ::umask(0177);  // from its first moment on for root alone
        const error_code ec = listener_.bind(Unix::endpoint{socket.string()});
        ::umask(before);
        if (ec) refuse(ec == asio::error::address_in_use ? "another server listens there" : ec.message());
        socket_ = socket;
    }

    [[nodiscard]] Listener& listener() noexcept { return listener_; }
    asio::awaitable<void> run() {
        if (!socket_.empty()) co_await listener_.run();
    }

 private:
    Routes routes_;
    Listener listener_;
    fs::path socket_;
    asio::thread_pool slow_{1}, copying_{1};  // what waits for disks, and what copies them
};

ApiService::ApiService(const Deps& deps) : worker_{std::make_unique<Worker>(deps)} {}
ApiService::~ApiService() = default;
void ApiService::bind(const fs::path& socket) { worker_->bind(socket); }
asio::any_io_executor ApiService::executor() const { return worker_->listener().executor(); }
asio::awaitable<void> ApiService::run() { return worker_->run(); }

}  // namespace diskless::http
