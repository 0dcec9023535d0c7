// The whole service over loopback: what a client gets for a request, byte for byte where it matters, and what it gets for none.
#include "services/http/service.hpp"

#include <doctest/doctest.h>
#include <cstdlib>

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <functional>
#include <thread>

#include "common/runtime.hpp"
#include "common/task_group.hpp"

using namespace diskless;
using namespace std::chrono_literals;

namespace {

const MacAddress desk_mac = *MacAddress::parse("52:54:00:12:34:01");
const Ipv4Address loopback{0x7f000001};

struct Observed final : boot::BootObserver {
    void observe(boot::Event event) override {
        const std::lock_guard lock{mutex};
        events.push_back(std::move(event));
    }
    std::mutex mutex;
    std::vector<boot::Event> events;
};

class Serving {
 public:
    explicit Serving(config::Http config = {}, bool serves_unknown = false) {
        std::string pattern = (std::filesystem::temp_directory_path() / "diskless-http-XXXXXX").string();
        folder = ::mkdtemp(pattern.data());
        std::ofstream{folder / "hello.txt"} << "hello";
        std::ofstream{folder / "big.bin"} << std::string(300'000, 'b');
        config.port = 0;
        files.emplace(folder, std::vector<std::filesystem::path>{});
        service.emplace(config, http::Deps{.lanes = runtime.lanes(),
                                           .files = *files,
                                           .catalog = catalog,
                                           .addresses = addresses,
                                           .secrets = secrets,
                                           .counters = counters,
                                           .observer = observed,
                                           .server = {.address = loopback, .target_prefix = "iqn.2026-11.lan.lab"},
                                           .serves_unknown = serves_unknown,
                                           .generated = [](std::string_view name, const IpAddress& client) -> std::optional<std::string> {
                                               if (name != "made/for-you") return std::nullopt;
                                               return "made for " + client.text();
                                           },
                                           .orders = orders(),
                                           .version = "test"});
        service->bind(loopback);
        tasks.spawn(service->executor(), [this] { return service->run(); });
        thread = std::thread{[this] { runtime.run(); }};
    }
    ~Serving() {
        asio::co_spawn(
            asio::make_strand(runtime.executor()),
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

    /// Sends bytes and reads until the server closes.
    std::string exchange(const std::string& bytes) {
        asio::io_context context;
        asio::ip::tcp::socket socket{context};
        socket.connect({asio::ip::address_v4::loopback(), service->port()});
        asio::write(socket, asio::buffer(bytes));
        std::string answer;
        error_code ec;
        asio::read(socket, asio::dynamic_buffer(answer), ec);
        return answer;
    }
    std::string get(const std::string& target, const std::string& headers = "", const std::string& method = "GET") {
        return exchange(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
    }

    http::MenuOrders orders() {
        return {.take_next_boot = [this](std::string client, std::string choice) -> asio::awaitable<bool> {
                    taken.push_back(client + ' ' + choice);
                    co_return taken.size() == 1;
                },
                .enroll = [](MacAddress, std::string) -> asio::awaitable<boot::OrRefusal<std::string>> { co_return "new-01"; },
                .enroll_groups = {"desks"},
                .enroll_password = "in"};
    }

    std::filesystem::path folder;
    std::vector<std::string> taken;  // of the service's thread while it answers, of the test's otherwise
    Runtime runtime{1};
    CounterRegistry counters;
    boot::CurrentCatalog catalog{std::make_shared<const boot::Catalog>(boot::CatalogData{
        .clients = {
            {.name = "desk-01", .macs = {desk_mac}, .address = loopback, .settings = {.disks = std::vector<boot::Disk>{{.lun = 0}}}}}})};
    boot::AddressBook addresses;
    boot::CurrentSecrets secrets;
    Observed observed;
    std::optional<storage::BootFiles> files;
    std::optional<http::HttpService> service;
    TaskGroup tasks{runtime.executor(), "test"};
    std::thread thread;
};

}  // namespace

TEST_CASE("boot files: whole, in part, by head alone, and not again when unchanged") {
    Serving serving;
    const std::string whole = serving.get("/boot/hello.txt");
    CHECK(whole.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(whole.contains("Content-Length: 5\r\n"));
    CHECK(whole.ends_with("\r\n\r\nhello"));
    CHECK(serving.get("/boot/hello.txt", "", "HEAD").ends_with("\r\n\r\n"));
    CHECK(serving.get("//boot//hello.txt").ends_with("hello"));
    const std::string part = serving.get("/boot/hello.txt", "Range: bytes=1-2\r\n");
    CHECK(part.starts_with("HTTP/1.1 206 "));
    CHECK(part.contains("Content-Range: bytes 1-2/5\r\n"));
    CHECK(part.ends_with("\r\n\r\nel"));
    CHECK(serving.get("/boot/hello.txt", "Range: bytes=9-\r\n").starts_with("HTTP/1.1 416 "));
    CHECK(serving.get("/boot/hello.txt", "Range: bytes=u-u\r\n").ends_with("hello"));
    const auto at = whole.find("ETag: ") + 6;
    const std::string tag = whole.substr(at, whole.find('\r', at) - at);
    CHECK(serving.get("/boot/hello.txt", "If-None-Match: " + tag + "\r\n").starts_with("HTTP/1.1 304 "));
    const std::string big = serving.get("/boot/big.bin");
    CHECK(big.size() - big.find("\r\n\r\n") == 300'004);
}

TEST_CASE("paths lead nowhere else, and errors say what they mean") {
    Serving serving;
    for (const char* path : {"/boot/../x", "/boot/%2e%2e/x", "/boot/none", "/elsewhere", "/boot/", "/boot"}) {
        CAPTURE(path);
        CHECK(serving.get(path).starts_with("HTTP/1.1 404 "));
    }
    CHECK(serving.get("/boot/%zz").starts_with("HTTP/1.1 400 "));
    CHECK(serving.get("/boot.ipxe?mac=nonsense").starts_with("HTTP/1.1 400 "));
    CHECK(serving.get("/healthz", "", "POST").starts_with("HTTP/1.1 405 "));
    CHECK(serving.exchange("this is no HTTP\r\n\r\n").starts_with("HTTP/1.1 400 "));
    CHECK(serving.get("/healthz", "X: " + std::string(20'000, 'x') + "\r\n").starts_with("HTTP/1.1 431 "));
}

TEST_CASE("what TFTP has is there over HTTP too: by the root, and made for the machine") {
    Serving serving;
    CHECK(serving.get("/hello.txt").ends_with("hello"));
    CHECK(serving.get("/made/for-you").ends_with("made for 127.0.0.1"));
    CHECK(serving.get("/boot/made/for-you").ends_with("made for 127.0.0.1"));
}

TEST_CASE("a choice for one boot: the machine itself uses it up, once, and no HEAD does") {
    Serving serving;
    boot::CatalogData data = serving.catalog.get()->data();
    data.next_boots = {{"desk-01", "local"}};
    serving.catalog.replace(std::make_shared<const boot::Catalog>(data));
    (void)serving.get("/boot.ipxe", "", "HEAD");
    CHECK(serving.taken.empty());
    CHECK(serving.get("/boot.ipxe").contains("sanboot --no-describe --drive 0x80"));
    CHECK(serving.taken == std::vector<std::string>{"desk-01 local"});
    CHECK(serving.get("/boot.ipxe").contains("sanboot iscsi:"));  // somebody else had it already
}

TEST_CASE("menus: tools by the password, enrolment for one's own MAC alone") {
    Serving serving{{}, true};
    boot::CatalogData data;
    data.tools = {{.name = "memtest", .title = "Memory test", .kernel = "memtest.bin"}};
    data.clients = {{.name = "desk-01",
                     .macs = {desk_mac},
                     .settings = {.boot = boot::BootMethod::menu, .menu_password = "a b&c", .tools = std::vector<std::string>{"memtest"}}}};
    serving.catalog.replace(std::make_shared<const boot::Catalog>(data));
    const std::string own = "/boot.ipxe?mac=52-54-00-12-34-01&choice=";
    CHECK(serving.get(own + "memtest").contains("that is not the password"));
    CHECK(serving.get(own + "memtest&password=nonsense").contains("that is not the password"));
    CHECK(serving.get(own + "memtest&password=a%20b%26c").contains("kernel http://127.0.0.1:8080/boot/memtest.bin"));
    CHECK(serving.get(own + "shell&password=a%20b%26c").ends_with("#!ipxe\nshell\n"));
    CHECK(serving.get(own + "format-all&password=a%20b%26c").starts_with("HTTP/1.1 404 "));

    const std::string enroll = "/boot.ipxe?choice=enroll&group=desks&mac=";
    serving.addresses.bind(loopback, *MacAddress::parse("52:54:00:00:00:77"));
    CHECK(serving.get(enroll + "52-54-00-00-00-78&password=in").starts_with("HTTP/1.1 403 "));
    CHECK(serving.get(enroll + "52-54-00-00-00-77").contains("that is not the password"));
    CHECK(serving.get(enroll + "52-54-00-00-00-77&password=in").contains("this machine is new-01 now, of group desks"));
    CHECK(serving.get("/boot.ipxe?mac=52-54-00-00-00-79").contains("item enroll-desks"));
}

TEST_CASE("scripts are for machines we know; health and metrics for everybody") {
    Serving serving;
    CHECK(serving.get("/boot.ipxe?mac=52-54-00-12-34-01").contains("sanboot iscsi:127.0.0.1::3260:0:iqn.2026-11.lan.lab:desk-01"));
    CHECK(serving.get("/boot.ipxe").contains("sanboot"));  // by its address
    CHECK(serving.get("/healthz").contains(R"("status":"ok")"));
    CHECK(serving.get("/metrics").contains("diskless_http_requests_total "));
    const std::lock_guard lock{serving.observed.mutex};
    REQUIRE(serving.observed.events.size() == 2);
    CHECK(serving.observed.events[0].step == boot::Step::script);
    CHECK(serving.observed.events[0].mac == desk_mac);
}

TEST_CASE("a secret goes to the machine it is for, at its own address, and nowhere else") {
    Serving serving;
    const auto declare = [&](std::optional<Ipv4Address> address) {
        boot::CatalogData data = serving.catalog.get()->data();
        data.clients[0].chap = {"desk-user"};
        data.clients[0].address = address;
        serving.catalog.replace(std::make_shared<const boot::Catalog>(std::move(data)));
    };
    serving.secrets.replace(boot::ChapSecrets{{{"desk-user", "a-desk-s-secret", "", ""}}});
    const auto tells = [&](const char* path) { return serving.get(path).contains("a-desk-s-secret"); };
    declare(loopback);
    CHECK(tells("/boot.ipxe?mac=52-54-00-12-34-01"));
    CHECK(tells("/boot.ipxe"));
    declare(Ipv4Address{0x0a000001});  // it sits elsewhere: whoever asks from here is somebody else
    CHECK_FALSE(tells("/boot.ipxe?mac=52-54-00-12-34-01"));
    declare(std::nullopt);  // nobody knows where it sits
    CHECK_FALSE(tells("/boot.ipxe?mac=52-54-00-12-34-01"));
    serving.addresses.bind(loopback, desk_mac);
    CHECK(tells("/boot.ipxe?mac=52-54-00-12-34-01"));
}

TEST_CASE("keep-alive: several requests on one connection, pipelined too") {
    Serving serving;
    const std::string request = "GET /boot/hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string answer = serving.exchange(request + request + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::size_t count = 0;
    for (auto at = answer.find("HTTP/1.1 200 OK"); at != std::string::npos; at = answer.find("HTTP/1.1 200 OK", at + 1)) ++count;
    CHECK(count == 3);
}

TEST_CASE("a client that says nothing, or half a request, is let go after the limit") {
    config::Http config;
    config.idle_timeout = 50ms;
    Serving serving{config};
    CHECK(serving.exchange("").empty());
    CHECK(serving.exchange("GET /healthz HT").empty());
}

TEST_CASE("beyond the limit of connections: a clear no") {
    config::Http config;
    config.max_connections = 1;
    Serving serving{config};
    asio::io_context context;
    asio::ip::tcp::socket first{context};
    first.connect({asio::ip::address_v4::loopback(), serving.service->port()});
    asio::write(first, asio::buffer(std::string{"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"}));
    std::array<char, 16> some{};
    asio::read(first, asio::buffer(some));  // served: it counts
    CHECK(serving.exchange("").starts_with("HTTP/1.1 503 "));
}
