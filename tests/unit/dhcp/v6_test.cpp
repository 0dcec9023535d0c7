// DHCPv6: the codec by bytes written out, the server's decisions message by message (RFC 8415), what UEFI firmware and iPXE say (RFC 5970).
#include <doctest/doctest.h>

#include "packets.hpp"
#include "services/dhcp/v6_responder.hpp"
#include "services/dhcp/wire/router_advertisement.hpp"

using namespace diskless;
using namespace diskless::dhcp::v6;
using diskless::dhcp::test::mac;

namespace {

using Bytes = std::vector<std::byte>;

Ipv6Address ip6(std::string_view text) { return Ipv6Address::parse(text).value(); }

Bytes hex(std::string_view text) {
    Bytes out;
    std::string digits;
    for (const char c : text) {
        if (c != ' ') digits += c;
    }
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        out.push_back(static_cast<std::byte>(std::stoul(digits.substr(i, 2), nullptr, 16)));
    return out;
}

std::string text_of(ByteSpan bytes) {
    std::string out;
    for (const std::byte b : bytes) out += fmt::format("{:02x}", std::to_integer<unsigned>(b));
    return out;
}

const Ipv6Address desk_link = ip6("fe80::5054:ff:fe12:3401");  // EUI-64 of 52:54:00:12:34:01
const Ipv6Address desk_own = ip6("fd77::5054:ff:fe12:3401");
const std::string duid_ll = "00030001525400123401";
const std::string server_duid = "00030001020000000001";

/// A message as bytes, with nothing of the code under test in it.
struct Message {
    std::string hex_text;
    Message(unsigned type, unsigned transaction) : hex_text{fmt::format("{:02x}{:06x}", type, transaction)} {}
    Message& with(unsigned code, const std::string& value) {
        hex_text += fmt::format("{:04x}{:04x}{}", code, value.size() / 2, value);
        return *this;
    }
    Message& text(unsigned code, std::string_view value) { return with(code, text_of(as_bytes(value))); }
    [[nodiscard]] Bytes bytes() const { return hex(hex_text); }
};

Message solicit() {
    return Message{1, 0xabcdef}
        .with(1, duid_ll)
        .with(3,
              "12340000"
              "00000000"
              "00000000");
}
Message from_ovmf() {
    return solicit()
        .with(61, "0007")
        .with(62, "010300")
        .with(16,
              "00000157"
              "0020" +
                  text_of(as_bytes("PXEClient:Arch:00007:UNDI:003000")))
        .with(6, "003b003c00170010");
}

boot::CatalogData clients() {
    const std::vector<boot::Disk> disk{{.lun = 0, .source = boot::FileSource{.path = "d.img"}}};
    boot::CatalogData data;
    data.clients.push_back({.name = "desk-01",
                            .macs = {mac("52:54:00:12:34:01")},
                            .uuid = Uuid::parse("00112233-4455-6677-8899-aabbccddeeff"),
                            .settings = {.disks = disk}});
    return data;
}

struct Scene {
    boot::Catalog catalog{clients()};
    Responder responder;
    Bytes request_bytes;  // views into it live as long

    explicit Scene(config::UnknownPolicy policy = config::UnknownPolicy::ignore)
        : responder{{.subnets = {{.network = Ipv6Network::parse("fd77::/64").value(),
                                  .dns = {ip6("fd77::1")},
                                  .domain = "lab.lan",
                                  .lease_time = std::chrono::hours{1}},
                                 {.network = Ipv6Network::parse("fd88::/64").value()}},
                     .unknown = policy,
                     .server = {.address = diskless::dhcp::test::ip("192.168.77.1"),
                                .address6 = ip6("fd77::1"),
                                .target_prefix = "iqn.2026-11.lan.lab"},
                     .duid = hex(server_duid)}} {}

    Decision say(const Message& message, const Ipv6Address& from = desk_link) { return say(message.bytes(), from); }
    Decision say(Bytes bytes, const Ipv6Address& from) {
        request_bytes = std::move(bytes);
        const auto request = decode(request_bytes);
        REQUIRE(request.has_value());
        return responder.respond(*request, from, catalog);
    }
    std::string answer(const Message& message) {
        const Decision decision = say(message);
        REQUIRE(decision.action == Decision::Action::reply);
        return text_of(encode(decision.reply, decode(request_bytes).value(), responder.duid()));
    }
};

}  // namespace

TEST_CASE("IPv6 addresses and networks") {
    CHECK(ip6("fd77::1").text() == "fd77::1");
    CHECK_FALSE(Ipv6Address::parse("192.168.1.1"));
    CHECK_FALSE(Ipv6Address::parse("fd77::1%eth0"));
    CHECK_FALSE(Ipv6Address::parse(std::string(100, ':')));
    CHECK(IpAddress{ip6("fd77::1")}.host() == "[fd77::1]");
    CHECK(desk_link.is_link_local());
    CHECK_FALSE(desk_own.is_link_local());
    CHECK(desk_link.mac() == mac("52:54:00:12:34:01"));
    CHECK_FALSE(ip6("fd77::1").mac());
    for (const char* wrong : {"fd77::1/64", "fd77::", "fd77::/129", "fd77::/", "fd77::/6x"}) CHECK_FALSE(Ipv6Network::parse(wrong));
    const Ipv6Network odd = Ipv6Network::parse("fd77:0:0:8000::/49").value();
    CHECK(odd.contains(ip6("fd77:0:0:ffff::1")));
    CHECK_FALSE(odd.contains(ip6("fd77:0:0:7fff::1")));
    CHECK(Ipv6Network::parse("fd77::/64")->with(mac("52:54:00:12:34:01")) == desk_own);
}

TEST_CASE("SOLICIT of OVMF's PXE, and the ADVERTISE byte by byte") {
    Scene scene;
    CHECK(scene.answer(from_ovmf()) ==
          "02abcdef"
          "0001000a" +
              duid_ll + "0002000a" + server_duid +
              "00070001ff"
              "00030028"
              "12340000"
              "00000708"
              "00000b40"
              "00050018"
              "fd77000000000000505400fffe123401"
              "00000e10"
              "00000e10"
              "00170010"
              "fd770000000000000000000000000001"
              "00180009"
              "036c6162036c616e00"
              "003b001c" +
              text_of(as_bytes("tftp://[fd77::1]/snponly.efi")));
}

TEST_CASE("HTTP boot wants its class back and a URL; iPXE the script") {
    Scene scene;
    const Decision http = scene.say(solicit()
                                        .with(61, "0010")
                                        .with(16,
                                              "00000157"
                                              "000a" +
                                                  text_of(as_bytes("HTTPClient"))));
    CHECK(http.reply.vendor_class == "HTTPClient");
    CHECK(http.reply.boot_file_url == "http://[fd77::1]:8080/boot/snponly.efi");
    const Decision ipxe = scene.say(solicit().with(61, "0007").with(15, "0004" + text_of(as_bytes("iPXE"))));
    CHECK(ipxe.reply.boot_file_url == "http://[fd77::1]:8080/boot.ipxe?mac=52-54-00-12-34-01");
    CHECK(ipxe.client->name == "desk-01");
    CHECK(scene.say(solicit()).reply.boot_file_url.empty());  // an operating system boots nothing
}

TEST_CASE("REQUEST, RENEW, REBIND: the machine's own address; any other one ends") {
    Scene scene;
    const std::string with_own =
        "12340000"
        "00000000"
        "00000000"
        "00050018"
        "fd77000000000000505400fffe123401"
        "00000000"
        "00000000";
    const std::string with_other =
        "12340000"
        "00000000"
        "00000000"
        "00050018"
        "fd770000000000000000000000000099"
        "00000000"
        "00000000";
    for (const unsigned type : {3u, 5u, 6u}) {
        CAPTURE(type);
        Message message{type, 1};
        message.with(1, duid_ll);
        if (type != 6) message.with(2, server_duid);
        const Decision own = scene.say(Message{message}.with(3, with_own));
        CHECK(own.reason == "replied");
        CHECK(own.address == desk_own);
        CHECK(own.mac == mac("52:54:00:12:34:01"));
        CHECK(own.reply.granted.at(0).ended.empty());
        const Decision other = scene.say(Message{message}.with(3, with_other));
        CHECK(other.reply.granted.at(0).address == desk_own);
        CHECK(other.reply.granted.at(0).ended.size() == (type == 3 ? 0 : 1));
    }
    // One card, one address.
    const Decision two = scene.say(solicit().with(3,
                                                  "00000002"
                                                  "00000000"
                                                  "00000000"));
    CHECK(two.reply.granted.at(1).status == Status::no_addresses);
}

TEST_CASE("rapid commit, CONFIRM, RELEASE, DECLINE, INFORMATION-REQUEST") {
    Scene scene;
    const Decision rapid = scene.say(solicit().with(14, ""));
    CHECK(rapid.reply.type == MessageType::reply);
    CHECK(rapid.reply.rapid_commit);
    CHECK(rapid.reason == "replied");

    const auto confirm = [&](const std::string& address) {
        return scene.say(Message{4, 1}
                             .with(1, duid_ll)
                             .with(3,
                                   "00000001"
                                   "00000000"
                                   "00000000"
                                   "00050018" +
                                       address +
                                       "00000000"
                                       "00000000"));
    };
    CHECK(confirm("fd77000000000000505400fffe123401").reply.status == Status::success);
    CHECK(confirm("fd99000000000000505400fffe123401").reply.status == Status::not_on_link);
    CHECK(scene.say(Message{4, 1}.with(1, duid_ll)).action == Decision::Action::ignore);

    CHECK(scene.say(Message{8, 1}.with(1, duid_ll).with(2, server_duid)).reply.status == Status::success);
    const Decision informed = scene.say(Message{11, 1}.with(6, "0017"));
    CHECK(informed.reply.dns.size() == 1);
    CHECK(informed.reply.granted.empty());

    // Somebody else's address cannot be declined; its own can, and then it has another one, which is nobody's MAC.
    const auto decline = [&](const std::string& address) {
        return scene.say(Message{9, 1}
                             .with(1, duid_ll)
                             .with(2, server_duid)
                             .with(3,
                                   "00000001"
                                   "00000000"
                                   "00000000"
                                   "00050018" +
                                       address +
                                       "00000000"
                                       "00000000"));
    };
    CHECK_FALSE(decline("fd770000000000000000000000000099").address);
    CHECK(scene.say(solicit()).address == desk_own);
    CHECK(decline("fd77000000000000505400fffe123401").address == desk_own);
    const auto another = scene.say(solicit()).address;
    REQUIRE(another);
    CHECK(*another != desk_own);
    CHECK_FALSE(another->mac());
    CHECK(scene.say(solicit()).address == another);
}

TEST_CASE("who asks: by the relay's word, by its link-local address, by its DUID, by its UUID in either order") {
    Scene scene;
    const Ipv6Address stable = ip6("fe80::1234:5678:9abc:def0");
    CHECK(scene.say(solicit(), stable).client->name == "desk-01");  // DUID-LL
    CHECK(scene
              .say(Message{1, 1}.with(1,
                                      "00010001"
                                      "2a2a2a2a"
                                      "525400123401"),
                   stable)
              .client->name == "desk-01");
    for (const char* uuid : {"00112233445566778899aabbccddeeff", "33221100554477668899aabbccddeeff"}) {
        const Decision decision = scene.say(Message{1, 1}
                                                .with(1, std::string{"0004"} + uuid)
                                                .with(3,
                                                      "00000001"
                                                      "00000000"
                                                      "00000000"),
                                            stable);
        REQUIRE(decision.client != nullptr);
        CHECK(decision.address == desk_own);  // so that others know it by its address
    }
    CHECK(scene.say(Message{1, 1}.with(1, "0004" + std::string(32, '0')), stable).client == nullptr);
}

TEST_CASE("who is not answered") {
    Scene scene;
    CHECK(scene.say(Message{1, 1}.with(1, "00030001525400999999"), ip6("fe80::5054:ff:fe99:9999")).reason == "unknown_client");
    CHECK(scene.say(Message{1, 1}).reason == "no_client_id");
    CHECK(scene.say(Message{3, 1}.with(1, duid_ll)).reason == "chose_other_server");
    CHECK(scene.say(Message{3, 1}.with(1, duid_ll).with(2, "00030001020000000002")).reason == "chose_other_server");
    CHECK(scene.say(solicit().with(2, server_duid)).reason == "names_a_server");

    Scene menu{config::UnknownPolicy::menu};
    const Decision stranger = menu.say(Message{1, 1}
                                           .with(1, "00030001525400999999")
                                           .with(3,
                                                 "00000001"
                                                 "00000000"
                                                 "00000000"),
                                       ip6("fe80::5054:ff:fe99:9999"));
    CHECK(stranger.address == ip6("fd77::5054:ff:fe99:9999"));
    CHECK_FALSE(stranger.reply.preference);
    Scene enroll{config::UnknownPolicy::enroll};
    CHECK(enroll.say(Message{1, 1}.with(1, "00030001525400999999"), ip6("fe80::5054:ff:fe99:9999")).action == Decision::Action::enroll);
}

TEST_CASE("behind relays: the network of the one next to the client, and all of it back") {
    Scene scene;
    const std::string inner = solicit().hex_text;
    // The relay at fd88::2 saw the card; a second one, without an address there, passed it on.
    const std::string first =
        "0c00"
        "fd880000000000000000000000000002"
        "fe800000000000001234567899abcdef" +
        fmt::format("00120003{}", "6c616e") +
        "004f0008"
        "0001525400123401" +
        fmt::format("0009{:04x}{}", inner.size() / 2, inner);
    const std::string second =
        "0c01"
        "00000000000000000000000000000000"
        "fd880000000000000000000000000002" +
        fmt::format("0009{:04x}{}", first.size() / 2, first);
    const Decision decision = scene.say(hex(second), ip6("fd88::3"));
    CHECK(decision.address == ip6("fd88::5054:ff:fe12:3401"));
    const std::string reply = text_of(encode(decision.reply, decode(scene.request_bytes).value(), scene.responder.duid()));
    CHECK(
        reply.starts_with("0d01"
                          "00000000000000000000000000000000"
                          "fd880000000000000000000000000002"
                          "0009"));
    CHECK(
        reply.substr(76).starts_with("0d00"
                                     "fd880000000000000000000000000002"
                                     "fe800000000000001234567899abcdef"
                                     "001200036c616e"
                                     "0009"));
    CHECK(scene
              .say(hex("0c00"
                       "fd990000000000000000000000000002"
                       "fe800000000000001234567899abcdef" +
                       fmt::format("0009{:04x}{}", inner.size() / 2, inner)),
                   ip6("fd99::2"))
              .reason == "no_subnet");
}

TEST_CASE("what is cut off or nested too deeply is refused; every length of a good message too") {
    const Bytes good = from_ovmf().bytes();
    for (std::size_t size = 0; size < good.size(); ++size) (void)decode(ByteSpan{good}.first(size));
    CHECK(decode(hex("01")).error().reason == "truncated");
    CHECK(decode(hex("02abcdef")).error().reason == "not_a_request");
    CHECK(decode(hex("01abcdef0001")).error().reason == "bad_options");
    CHECK(decode(hex("01abcdef00010004aabb")).error().reason == "bad_options");
    std::string nested = solicit().hex_text;
    for (int i = 0; i < 9; ++i) nested = "0c00" + std::string(64, '0') + fmt::format("0009{:04x}{}", nested.size() / 2, nested);
    CHECK(decode(hex(nested)).error().reason == "too_many_relays");
    CHECK(decode(Bytes(5000)).error().reason == "oversized");
}

TEST_CASE("the advertisement sends machines to DHCPv6 and says that the network is on the link") {
    const std::vector<Ipv6Network> managed{Ipv6Network::parse("fd77::/64").value()};
    CHECK(text_of(diskless::dhcp::wire::router_advertisement(managed)) ==
          "86000000"
          "40c00000"
          "0000000000000000"
          "03044080"
          "ffffffff"
          "ffffffff"
          "00000000"
          "fd770000000000000000000000000000");
}
