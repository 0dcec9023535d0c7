// The codec: bytes <-> Message, against RFC 2131, 2132, 3046 and 3396.
#include <algorithm>

#include "packets.hpp"

using namespace diskless;
using namespace diskless::dhcp;
using namespace diskless::dhcp::test;

namespace {

std::string_view refused(const Bytes& bytes) {
    const auto decoded = wire::decode(bytes);
    return decoded ? std::string_view{"accepted"} : decoded.error().reason;
}

wire::Reply reply_to(const Packet& packet) {
    wire::Reply reply;
    reply.header = {.op = 2, .xid = packet.xid, .chaddr = packet.chaddr};
    reply.options.u8(Option::message_type, 2);
    return reply;
}

}  // namespace

TEST_CASE("the fixed fields are where RFC 2131 figure 1 has them") {
    Packet packet = Packet::of(MessageType::request, mac("52:54:00:12:34:56"));
    packet.xid = 0xdeadbeef;
    packet.flags = 0x8000;
    packet.ciaddr = ip("10.0.0.9");
    packet.giaddr = ip("10.0.0.1");
    Bytes bytes = packet.bytes();
    bytes[3] = std::byte{2};                   // hops
    bytes[9] = std::byte{7};                   // secs
    store_be(bytes, 16, ip("1.2.3.4").value);  // yiaddr
    store_be(bytes, 20, ip("5.6.7.8").value);  // siaddr
    const auto request = wire::decode(bytes).value();
    CHECK(request.type == MessageType::request);
    CHECK(request.header.hops == 2);
    CHECK(request.header.xid == 0xdeadbeef);
    CHECK(request.header.secs == 7);
    CHECK(request.header.flags == 0x8000);
    CHECK(request.header.ciaddr == ip("10.0.0.9"));
    CHECK(request.header.yiaddr == ip("1.2.3.4"));
    CHECK(request.header.siaddr == ip("5.6.7.8"));
    CHECK(request.header.giaddr == ip("10.0.0.1"));
    CHECK(request.header.chaddr == mac("52:54:00:12:34:56"));
}

TEST_CASE("what is no DHCP request is refused by name") {
    const Bytes good = Packet::of(MessageType::discover).bytes();
    CHECK(refused(good) == "accepted");
    const auto changed = [&](std::size_t at, int value) {
        Bytes bytes = good;
        bytes[at] = static_cast<std::byte>(value);
        return bytes;
    };
    CHECK(refused(changed(0, 2)) == "not_a_request");
    CHECK(refused(changed(1, 6)) == "not_ethernet");
    CHECK(refused(changed(2, 16)) == "not_ethernet");
    CHECK(refused(changed(28, 0x01)) == "bad_chaddr");
    CHECK(refused(changed(242, 0)) == "unknown_type");
    CHECK(refused(changed(242, 9)) == "unknown_type");
    CHECK(refused(changed(241, 200)) == "bad_options");
    Bytes zero_mac = good;
    std::fill_n(zero_mac.begin() + 28, 6, std::byte{0});
    CHECK(refused(zero_mac) == "bad_chaddr");
    CHECK(refused(Bytes(wire::max_request_bytes + 1, std::byte{1})) == "oversized");
}

TEST_CASE("cut at any byte it is refused or read, never more") {
    const Bytes good = Packet::of(MessageType::discover).with(Option::host_name, "desk-01").bytes();
    for (std::size_t size = 0; size < good.size(); ++size) {
        const Bytes cut{good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)};
        const auto request = wire::decode(cut);
        CHECK_MESSAGE(request.has_value() == (size >= 236 && size != 241 && size != 242 && (size < 244 || size == good.size() - 1)), size);
    }
}

TEST_CASE("a packet without the magic cookie is BOOTP") {
    Packet packet;
    packet.cookie = false;
    CHECK(packet.request().type == MessageType::bootp);
    Packet with_cookie;
    with_cookie.with(Option::host_name, "old");
    CHECK(with_cookie.request().type == MessageType::bootp);
    CHECK(with_cookie.request().options.text(Option::host_name) == "old");
}

TEST_CASE("the parts of a split option are joined in order (RFC 3396), also when they stand apart") {
    Packet packet = Packet::of(MessageType::discover);
    packet.with(Option::host_name, "one-").with(Option::vendor_class, "x").with(Option::host_name, "two-");
    packet.with(Option::vendor_class, "").with(Option::host_name, "three").with(Option::vendor_class, "y");
    const auto request = packet.request();
    CHECK(request.options.text(Option::host_name) == "one-two-three");
    CHECK(request.options.text(Option::vendor_class) == "xy");
    CHECK(request.options.u8(Option::message_type) == 1);
    CHECK_FALSE(request.options.has(Option::user_class));
    CHECK(request.options.get(Option::user_class).empty());
}

TEST_CASE("option 52 opens file and sname for options: options, then file, then sname (RFC 3396 5)") {
    Packet packet = Packet::of(MessageType::discover);
    packet.with(Option::overload, "\x03").with(Option::host_name, "a");
    Bytes bytes = packet.bytes();
    const std::string in_file =
                          "\x0c\x01"
                          "b"
                          "\xff",
                      in_sname =
                          "\x0c\x01"
                          "c"
                          "\x0f\x03lan"
                          "\xff";
    std::ranges::copy(as_bytes(in_file), bytes.begin() + 108);
    std::ranges::copy(as_bytes(in_sname), bytes.begin() + 44);
    const auto request = wire::decode(bytes).value();
    CHECK(request.options.text(Option::host_name) == "abc");
    CHECK(request.options.text(Option::domain_name) == "lan");

    SUBCASE("only the field that is named") {
        Packet one = Packet::of(MessageType::discover);
        one.with(Option::overload, "\x01").with(Option::host_name, "a");
        Bytes other = one.bytes();
        std::ranges::copy(as_bytes(in_file), other.begin() + 108);
        std::ranges::copy(as_bytes(in_sname), other.begin() + 44);
        CHECK(wire::decode(other).value().options.text(Option::host_name) == "ab");
    }
    SUBCASE("a broken field spoils the packet") {
        bytes[109] = std::byte{200};
        CHECK(refused(bytes) == "bad_options");
    }
}

TEST_CASE("numbers that are too short are absent") {
    Packet packet = Packet::of(MessageType::request);
    packet.with(Option::requested_address, "\x0a").with(Option::max_message_size, "\x05");
    const auto request = packet.request();
    CHECK_FALSE(request.options.address(Option::requested_address));
    CHECK_FALSE(request.options.u16(Option::max_message_size));
    CHECK(request.options.u8(Option::max_message_size) == 5);
}

TEST_CASE("options that would need more than a packet's memory are refused, not cut") {
    wire::Options options;
    const Bytes big(255, std::byte{7});
    for (std::size_t i = 0; i < wire::Options::capacity / 255; ++i) REQUIRE(options.append(Option::host_name, big));
    CHECK_FALSE(options.append(Option::host_name, big));
    CHECK(options.get(Option::host_name).size() == wire::Options::capacity / 255 * 255);
    CHECK_FALSE(options.append(Option::vendor_class, big));
}

TEST_CASE("replies are 300 bytes at least, the boot file stands in its field, the relay's option last") {
    const Packet packet = Packet::of(MessageType::discover);
    wire::Reply reply = reply_to(packet);
    reply.header.yiaddr = ip("10.0.0.9");
    reply.file = "undionly.kpxe";
    const Bytes relay{std::byte{1}, std::byte{2}, std::byte{'e'}, std::byte{'0'}};
    reply.relay_agent_information = relay;
    Bytes out;
    REQUIRE(wire::encode(reply, 548, out));
    CHECK(out.size() == 300);
    const Read back{out};
    CHECK(out[0] == std::byte{2});
    CHECK(out[1] == std::byte{1});
    CHECK(out[2] == std::byte{6});
    CHECK(back.xid() == packet.xid);
    CHECK(back.yiaddr() == ip("10.0.0.9"));
    CHECK(back.file() == "undionly.kpxe");
    CHECK(back.order == std::vector{53, 82});
    CHECK(back.get(Option::relay_agent_information) == as_text(relay));
}

TEST_CASE("a boot file of more than 127 bytes is left to option 67") {
    wire::Reply reply = reply_to({});
    reply.file = std::string(127, 'f');
    Bytes out;
    REQUIRE(wire::encode(reply, 548, out));
    CHECK(Read{out}.file() == std::string(127, 'f'));
    reply.file += 'f';
    REQUIRE(wire::encode(reply, 548, out));
    CHECK(Read{out}.file().empty());
}

TEST_CASE("long options are split (RFC 3396) and empty ones are written") {
    wire::Reply reply = reply_to({});
    const std::string long_name(300, 'n');
    reply.options.text(Option::domain_name, long_name);
    reply.options.text(Option::host_name, "");
    Bytes out;
    REQUIRE(wire::encode(reply, 1472, out));
    const Read back{out};
    CHECK(back.order == std::vector{53, 15, 15, 12});
    CHECK(back.get(Option::domain_name) == long_name);
    CHECK(back.has(Option::host_name));
}

TEST_CASE("the client's size is never exceeded: optional options give way, each whole, mandatory ones never") {
    wire::Reply reply = reply_to({});
    reply.options.text(Option::root_path, std::string(200, 'r'));
    reply.options.optional_from_here();
    reply.options.text(Option::domain_name, std::string(300, 'd'));  // two parts
    reply.options.text(Option::host_name, "desk-01");
    const std::size_t mandatory = 236 + 4 + 3 + 202 + 1;
    for (std::size_t limit = mandatory - 3; limit < mandatory + 330; ++limit) {
        Bytes out;
        const bool fits = wire::encode(reply, limit, out);
        REQUIRE_MESSAGE(fits == (limit >= mandatory), limit);
        if (!fits) continue;
        REQUIRE(out.size() <= limit);
        const Read back{out};
        REQUIRE(back.get(Option::root_path).size() == 200);
        const bool domain = limit >= mandatory + 304;
        REQUIRE_MESSAGE(back.get(Option::domain_name).size() == (domain ? 300 : 0), limit);
        REQUIRE_MESSAGE(back.has(Option::host_name) == (limit >= mandatory + (domain ? 313u : 9u)), limit);
    }
}

TEST_CASE("more options than a packet can hold: the mandatory ones make it fail, the optional ones do not") {
    wire::OptionWriter writer;
    writer.text(Option::root_path, std::string(200, 'r'));
    writer.optional_from_here();
    writer.text(Option::domain_name, std::string(2000, 'd'));
    CHECK(writer.ok());
    CHECK(writer.optional().empty());
    wire::OptionWriter full;
    full.text(Option::root_path, std::string(2000, 'r'));
    CHECK_FALSE(full.ok());
    Bytes out;
    wire::Reply reply;
    reply.options = full;
    CHECK_FALSE(wire::encode(reply, 1472, out));
}

TEST_CASE("every message type has its name") {
    CHECK(wire::name_of(MessageType::bootp) == "bootp");
    CHECK(wire::name_of(MessageType::discover) == "discover");
    CHECK(wire::name_of(MessageType::inform) == "inform");
}
