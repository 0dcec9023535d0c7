// The API over its Unix socket: lists, orders, and what it says to wrong ones.
#include "services/http/api_service.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <cstdlib>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <mutex>
#include <thread>

#include "common/runtime.hpp"
#include "common/task_group.hpp"

using namespace diskless;
using Unix = asio::local::stream_protocol;

namespace {

struct Sessions final : boot::SessionList {
    [[nodiscard]] std::vector<boot::SessionInfo> sessions() const override {
        return {{.initiator = "iqn.2026-11.lan.lab.initiator:desk-01",
                 .target = "iqn.2026-11.lan.lab:desk-01",
                 .address = "192.168.77.11:49152",
                 .isid = "00023d000000",
                 .tsih = 7,
                 .age = std::chrono::seconds{61},
                 .negotiated = {{"HeaderDigest", "None"}},
                 .queue_depth = 3,
                 .commands = 10,
                 .read_bytes = std::uint64_t{5} << 40,
                 .latency_us = {{50, 9}, {0, 1}}}};
    }
    bool drop_session(std::uint16_t tsih) override {
        const std::lock_guard lock{mutex};
        dropped.push_back(tsih);
        return tsih == 7;
    }
    std::mutex mutex;
    std::vector<std::uint16_t> dropped;
};

class Serving {
 public:
    Serving() {
        std::string pattern = (std::filesystem::temp_directory_path() / "diskless-api-XXXXXX").string();
        folder = ::mkdtemp(pattern.data());
        service.bind(folder / "run" / "api.sock");
        tasks.spawn(service.executor(), [this] { return service.run(); });
        thread = std::thread{[this] { runtime.run(); }};
    }
    ~Serving() {
        asio::co_spawn(
            runtime.executor(),
            [this]() -> asio::awaitable<void> {
                tasks.cancel();
                co_await tasks.join();
            },
            [this](std::exception_ptr) { runtime.stop(); });
        thread.join();
        std::filesystem::remove_all(folder);
    }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;

    std::string ask(const std::string& method, const std::string& target) {
        asio::io_context context;
        Unix::socket socket{context};
        socket.connect(Unix::endpoint{(folder / "run" / "api.sock").string()});
        asio::write(socket, asio::buffer(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        std::string answer;
        error_code ec;
        asio::read(socket, asio::dynamic_buffer(answer), ec);
        return answer;
    }

    std::filesystem::path folder;
    Sessions sessions;
    Runtime runtime{1};
    CounterRegistry counters;
    http::ApiService service{{.lanes = runtime.lanes(), .counters = counters, .sessions = &sessions, .version = "test"}};
    TaskGroup tasks{runtime.executor(), "test"};
    std::thread thread;
};

std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

}  // namespace

TEST_CASE("the session list as JSON") {
    Serving serving;
    const std::string answer = serving.ask("GET", "/api/v1/sessions");
    CHECK(answer.starts_with("HTTP/1.1 200 "));
    const auto expected = boost::json::parse(R"({"sessions": [{
        "tsih": 7, "initiator": "iqn.2026-11.lan.lab.initiator:desk-01", "target": "iqn.2026-11.lan.lab:desk-01",
        "address": "192.168.77.11:49152", "isid": "00023d000000", "age_s": 61, "negotiated": {"HeaderDigest": "None"},
        "queue_depth": 3, "commands": 10, "read_bytes": 5497558138880, "written_bytes": 0, "errors": 0, "r2ts": 0, "aborts": 0,
        "latency": [{"le_us": 50, "count": 9}, {"le_us": null, "count": 1}]}]})");
    CHECK(boost::json::parse(body_of(answer)) == expected);
}

TEST_CASE("a session is dropped by its number; wrong numbers drop nothing") {
    Serving serving;
    CHECK(serving.ask("DELETE", "/api/v1/sessions/7").starts_with("HTTP/1.1 200 "));
    CHECK(serving.ask("DELETE", "/api/v1/sessions/8").starts_with("HTTP/1.1 404 "));
    for (const char* wrong : {"x", "7x", "-1", "65536", "", "7/8x"})
        CHECK(serving.ask("DELETE", std::string{"/api/v1/sessions/"} + wrong).starts_with("HTTP/1.1 400 "));
    CHECK(serving.sessions.dropped == std::vector<std::uint16_t>{7, 8});
}

TEST_CASE("other methods and paths are told what there is") {
    Serving serving;
    const std::string method = serving.ask("DELETE", "/api/v1/sessions");
    CHECK(method.starts_with("HTTP/1.1 405 "));
    CHECK(method.contains("Allow: GET, HEAD\r\n"));
    CHECK(serving.ask("GET", "/api/v1/sessions/7").contains("Allow: DELETE\r\n"));
    CHECK(serving.ask("GET", "/boot.ipxe").starts_with("HTTP/1.1 404 "));
    CHECK(serving.ask("GET", "/healthz").contains(R"("status":"ok")"));
}

TEST_CASE("the socket is root's, replaces one that was left over, and is gone afterwards") {
    std::filesystem::path socket;
    {
        Serving serving;
        socket = serving.folder / "run" / "api.sock";
        struct stat status{};
        REQUIRE(::stat(socket.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);

        http::ApiService second{{.lanes = serving.runtime.lanes(), .counters = serving.counters, .version = "test"}};
        CHECK_THROWS_WITH_AS(second.bind(socket), doctest::Contains("another server listens there"), std::runtime_error);

        const auto left_over = serving.folder / "old.sock";
        asio::io_context context;
        Unix::acceptor{context, Unix::endpoint{left_over.string()}}.close();
        CHECK(std::filesystem::exists(left_over));
        http::ApiService third{{.lanes = serving.runtime.lanes(), .counters = serving.counters, .version = "test"}};
        third.bind(left_over);
    }
    CHECK_FALSE(std::filesystem::exists(socket));
}
