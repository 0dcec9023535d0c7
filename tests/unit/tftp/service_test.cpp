// TftpService over real sockets on loopback.
#include "services/tftp/service.hpp"

#include <doctest/doctest.h>

#include "serving.hpp"

using namespace diskless;
using namespace diskless::tftp;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761u) >> 11);
    return text;
}

std::string rrq(std::string_view name, std::string_view rest = "octet\0"sv) {
    std::string request{"\0\1"sv};
    return request.append(name).append(1, '\0').append(rest);
}

constexpr MacAddress mac{{std::byte{0x52}, std::byte{0x54}, std::byte{0}, std::byte{0x12}, std::byte{0x34}, std::byte{1}}};

}  // namespace

TEST_CASE("files arrive whole, whatever their size and the options, from a port of their own or the one for all") {
    bool single_port = false;
    SUBCASE("of their own") {}
    SUBCASE("for all") { single_port = true; }
    Serving serving{{.single_port = single_port}};
    struct Row {
        std::string_view options;
        std::uint16_t blksize, windowsize;
    };
    const Row rows[] = {{"octet\0"sv, 512, 1},
                        {"octet\0tsize\0"
                         "0\0blksize\0"
                         "1468\0windowsize\0"
                         "4\0"sv,
                         1468, 4},
                        {"octet\0blksize\0"
                         "1428\0windowsize\0"
                         "64\0"sv,
                         1428, 64},
                        {"octet\0blksize\0"
                         "8192\0windowsize\0"
                         "8\0"sv,
                         8192, 8},
                        {"octet\0blksize\0"
                         "65464\0windowsize\0"
                         "2\0"sv,
                         65464, 2},
                        {"octet\0blksize\0"
                         "1000\0timeout\0"
                         "2\0"sv,
                         1000, 1}};
    for (const std::size_t size : {0u, 1u, 511u, 512u, 513u, 64u * 1428, 64u * 1428 + 1, 300'000u}) {
        serving.root.write("file", pattern(size));
        for (const Row& row : rows) {
            CAPTURE(size);
            CAPTURE(row.blksize);
            CHECK(Client{serving}.fetch(rrq("file", row.options), row.blksize, row.windowsize) == pattern(size));
        }
    }
}

TEST_CASE("an OACK has the size and what was agreed on") {
    Serving serving{{.max_blksize = 1024, .max_windowsize = 8}};
    serving.root.write("file", pattern(5000));
    Client client{serving};
    client.ask(rrq("file",
                   "octet\0tsize\0"
                   "0\0blksize\0"
                   "1468\0windowsize\0"
                   "64\0"sv));
    CHECK(client.hear().as<wire::Oack>().options == wire::Options{.blksize = 1024, .tsize = 5000, .windowsize = 8});
}

TEST_CASE("loaders of the distribution, scripts made for the client, texts in netascii") {
    Serving serving;
    serving.distribution.write("undionly.kpxe", "loader");
    serving.root.write("notes.txt", "one\ntwo\n");
    CHECK(Client{serving}.fetch(rrq("/undionly.kpxe\xff")) == "loader");
    CHECK(Client{serving}.fetch(rrq("boot.ipxe")) == "#!ipxe\necho 127.0.0.1\n");
    CHECK(Client{serving}.fetch(rrq("notes.txt", "netascii\0"sv)) == "one\r\ntwo\r\n");
    CHECK(Client{serving}.fetch(rrq("notes.txt")) == "one\ntwo\n");
    Client asks_size{serving};
    asks_size.ask(rrq("notes.txt",
                      "netascii\0tsize\0"
                      "0\0"sv));
    CHECK(asks_size.hear().as<wire::Oack>().options.tsize == 10);
}

TEST_CASE("what is not served is answered with the right error, never with silence") {
    Serving serving;
    serving.root.write("file", "content");
    serving.root.write("large", std::string((1 << 20) + 1, '\n'));
    std::filesystem::create_symlink("/etc/passwd", serving.root.path() / "out");
    const auto error_of = [&](std::string_view request) {
        Client client{serving};
        client.ask(request);
        return client.hear().as<wire::Error>().code;
    };
    for (const auto name : {"missing", "../file", "/etc/passwd", "out", "..\\file", "a/../../etc/passwd"}) {
        CAPTURE(name);
        CHECK(error_of(rrq(name)) == wire::ErrorCode::file_not_found);
    }
    CHECK(error_of("\0\2file\0octet\0"sv) == wire::ErrorCode::access_violation);
    CHECK(error_of(rrq("file", "mail\0"sv)) == wire::ErrorCode::illegal_operation);
    CHECK(error_of(rrq("large", "netascii\0"sv)) == wire::ErrorCode::not_defined);
    CHECK(serving.count("diskless_tftp_refused_total") == 9);
}

TEST_CASE("nonsense on the port is dropped and counted, and the service goes on") {
    Serving serving;
    serving.root.write("file", "content");
    Client client{serving};
    for (const auto nonsense : {""sv, "x"sv, "\0\1"sv, "\0\1file"sv, "\0\4\0\1"sv, "\0\3\0\1data"sv, "\0\5\0\0\0"sv, "\0\6"sv, "\0\7??"sv})
        client.ask(nonsense);
    client.ask(std::string(60'000, 'x'));
    CHECK(client.fetch(rrq("file")) == "content");
    CHECK(serving.count("diskless_tftp_dropped_total") == 10);
}

TEST_CASE("a request that is repeated starts no second transfer") {
    Serving serving;
    serving.root.write("file", pattern(1000));
    Client client{serving};
    client.ask(rrq("file"));
    client.ask(rrq("file"));
    client.ask(rrq("file"));
    const Datagram first = client.hear();
    CHECK(first.as<wire::Data>().block == 1);
    client.acknowledge(1, first.from);
    const Datagram second = client.hear();
    CHECK(second.as<wire::Data>().block == 2);
    CHECK(second.from.sin_port == first.from.sin_port);
    client.acknowledge(2, first.from);
    (void)Client{serving}.fetch(rrq("file"));  // the port has been read up to here
    serving.stop();
    CHECK_FALSE(client.overhear());
    CHECK(serving.count("diskless_tftp_requests_total") == 4);
}

TEST_CASE("a machine that was reset asks from the same port again and is served") {
    Serving serving{{.retransmit = 20ms, .max_retransmits = 100'000}};
    serving.root.write("file", pattern(2000));
    serving.root.write("other", "other");
    Client client{serving};
    client.ask(rrq("file"));
    const Datagram first = client.hear();
    client.acknowledge(1, first.from);

    SUBCASE("for the same file, after silence") {
        // Block 2 twice: the client has been silent for a whole timeout.
        for (int twos = 0; twos < 2;) twos += client.hear().as<wire::Data>().block == 2 ? 1 : 0;
        client.ask(rrq("file"));
        Datagram again = client.hear();
        while (again.from.sin_port == first.from.sin_port) again = client.hear();
        CHECK(again.as<wire::Data>().block == 1);
    }
    SUBCASE("for another file, at once") {
        client.ask(rrq("other"));
        Datagram again = client.hear();
        while (again.from.sin_port == first.from.sin_port) again = client.hear();
        CHECK(as_text(again.as<wire::Data>().bytes) == "other");
    }
}

TEST_CASE("a stranger to a transfer gets error 5, and the transfer goes on") {
    Serving serving;
    serving.root.write("file", pattern(600));
    Client client{serving}, stranger{serving};
    client.ask(rrq("file"));
    const Datagram first = client.hear();
    stranger.say("\0\5\0\0\0"sv, first.from);  // an error is not answered
    stranger.acknowledge(1, first.from);
    CHECK(stranger.hear().as<wire::Error>().code == wire::ErrorCode::unknown_transfer_id);
    CHECK_FALSE(stranger.overhear());
    client.acknowledge(1, first.from);
    CHECK(client.hear().as<wire::Data>().block == 2);
}

TEST_CASE("what is lost is sent again") {
    Serving serving{{.retransmit = 10ms, .max_retransmits = 100'000}};
    serving.root.write("file", pattern(100));
    Client client{serving};
    client.ask(rrq("file",
                   "octet\0tsize\0"
                   "0\0"sv));
    for (int i = 0; i < 3; ++i) CHECK(client.hear().as<wire::Oack>().options.tsize == 100);
    const Datagram oack = client.hear();
    client.acknowledge(0, oack.from);
    int data = 0;
    while (data < 3) data += std::holds_alternative<wire::Data>(client.hear().packet()) ? 1 : 0;
}

TEST_CASE("with a single port every answer comes from it, to many clients at a time, and what is lost is sent again") {
    Serving serving{{.single_port = true, .retransmit = 10ms, .max_retransmits = 100'000}};
    serving.root.write("file", pattern(5000));
    Client one{serving}, two{serving};
    for (Client* client : {&one, &two}) client->ask(rrq("file"));
    std::array<std::string, 2> files;
    for (std::uint16_t block = 1; block <= 10; ++block) {
        for (const std::size_t i : {0u, 1u}) {
            Client& client = i == 0 ? one : two;
            for (int times = block == 3 ? 3 : 1; times > 0;) {  // the third is heard three times before it is acknowledged
                const Datagram heard = client.hear();
                CHECK(ntohs(heard.from.sin_port) == serving.service->port());
                if (heard.as<wire::Data>().block != block) continue;
                if (--times == 0) files.at(i) += as_text(heard.as<wire::Data>().bytes);
            }
            client.acknowledge(block, client.server());
        }
    }
    CHECK(files[0] == pattern(5000));
    CHECK(files[1] == pattern(5000));
}

TEST_CASE("one client may have so many transfers, whatever its ports") {
    Serving serving{{.max_transfers_per_client = 2}};
    serving.root.write("file", pattern(600));
    Client one{serving}, two{serving}, three{serving};
    for (Client* client : {&one, &two}) {
        client->ask(rrq("file"));
        (void)client->hear();
    }
    three.ask(rrq("file"));
    CHECK(three.hear().as<wire::Error>().text.contains("too many transfers"));
}

TEST_CASE("more transfers than the limit are refused in words, and places become free") {
    Serving serving{{.max_transfers = 2}};
    serving.root.write("file", pattern(600));
    Client one{serving}, two{serving}, three{serving};
    one.ask(rrq("file"));
    two.ask(rrq("file"));
    const Datagram first = one.hear();
    (void)two.hear();
    three.ask(rrq("file"));
    CHECK(three.hear().as<wire::Error>().text.contains("busy"));
    // The client ends its transfer; once it is forgotten there is room.
    one.say("\0\5\0\0enough\0"sv, first.from);
    while (true) {
        three.ask(rrq("file"));
        if (std::holds_alternative<wire::Data>(three.hear().packet())) break;
    }
}

TEST_CASE("a complete transfer is reported with who and what; an aborted one is not") {
    Serving serving;
    serving.distribution.write("undionly.kpxe", pattern(2000));
    serving.addresses.bind(loopback, mac);
    serving.catalog.replace(std::make_shared<const boot::Catalog>(boot::CatalogData{.clients = {{.name = "desk-01", .macs = {mac}}}}));
    {
        Client aborts{serving};
        aborts.ask(rrq("undionly.kpxe"));
        aborts.say("\0\5\0\x08User aborted the transfer\0"sv, aborts.hear().from);
    }
    CHECK(Client{serving}.fetch(rrq("/undionly.kpxe")) == pattern(2000));
    const boot::Event event = serving.observed.next();
    CHECK(event.step == boot::Step::loader);
    CHECK(event.mac == mac);
    CHECK(event.client == "desk-01");
    CHECK(event.detail == "undionly.kpxe by TFTP, 2 KiB");
    serving.stop();
    CHECK(serving.observed.empty());
    CHECK(serving.count("diskless_tftp_sent_bytes_total") == 2000);
    CHECK(serving.count("diskless_tftp_transfers") == 0);
}

TEST_CASE("a file that becomes shorter under a transfer ends it with an error, not with other bytes") {
    Serving serving;
    serving.root.write("file", pattern(2000));
    Client client{serving};
    client.ask(rrq("file"));
    const Datagram first = client.hear();
    std::filesystem::resize_file(serving.root.path() / "file", 700);
    client.acknowledge(1, first.from);
    CHECK(client.hear().as<wire::Error>().text.contains("cannot be read"));
}

TEST_CASE("answers come from the address that was asked") {
    constexpr Ipv4Address second{0x7f000002};
    Serving serving{{}, second};
    serving.root.write("file", "content");
    Client client{serving, second};
    client.ask(rrq("file"));
    CHECK(client.hear().from.sin_addr.s_addr == htonl(second.value));
    client.ask(rrq("missing"));
    CHECK(client.hear().from.sin_addr.s_addr == htonl(second.value));
}

TEST_CASE("a port in use is one clear line") {
    const Serving holder;
    Serving other;
    TftpService service{{.port = holder.service->port()},
                        Deps{.lanes = other.runtime.lanes(),
                             .files = other.files,
                             .catalog = other.catalog,
                             .addresses = other.addresses,
                             .counters = other.counters,
                             .observer = other.observed,
                             .generated = {}}};
    std::string message;
    try {
        service.bind(loopback);
    } catch (const std::runtime_error& error) {
        message = error.what();
    }
    CHECK(message.contains("TFTP: cannot bind 127.0.0.1:"));
    CHECK(message.contains("the port is in use"));
}

TEST_CASE("stopping ends the transfers under way") {
    Serving serving;
    serving.root.write("file", pattern(100'000));
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 50; ++i) {
        clients.push_back(std::make_unique<Client>(serving));
        clients.back()->ask(rrq("file"));
        (void)clients.back()->hear();
    }
    serving.stop();
    CHECK(serving.count("diskless_tftp_transfers") == 0);
}
