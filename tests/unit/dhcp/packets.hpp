// Packets for the DHCP tests: requests made field by field, replies read by a second, independent reader, captures read from their files.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/dhcp/responder.hpp"
#include "services/dhcp/wire/message.hpp"

namespace diskless::dhcp::test {

using wire::MessageType;
using wire::Option;
using Bytes = std::vector<std::byte>;

inline Ipv4Address ip(std::string_view text) { return Ipv4Address::parse(text).value(); }
inline MacAddress mac(std::string_view text) { return MacAddress::parse(text).value(); }
inline MacAddress machine(unsigned number) {
    MacAddress m = mac("52:54:00:00:00:00");
    store_be(m.octets, 2, std::uint32_t{number});
    return m;
}
inline Seconds at(std::int64_t seconds) { return Seconds{std::chrono::seconds{1'800'000'000 + seconds}}; }

inline std::string octets(Ipv4Address address) {
    std::array<std::byte, 4> bytes{};
    store_be(bytes, 0, address.value);
    return std::string{as_text(bytes)};
}

/// A request as bytes (RFC 2131 2), with nothing of the code under test in it.
struct Packet {
    MacAddress chaddr = machine(1);
    std::uint32_t xid = 0x1234;
    std::uint16_t flags = 0;
    Ipv4Address ciaddr, giaddr;
    std::vector<std::pair<std::uint8_t, std::string>> options;
    bool cookie = true;

    static Packet of(MessageType type, MacAddress chaddr = machine(1)) {
        Packet p{.chaddr = chaddr};
        return p.with(Option::message_type, std::string(1, static_cast<char>(type)));
    }
    Packet& with(Option code, std::string value) {
        options.emplace_back(static_cast<std::uint8_t>(code), std::move(value));
        return *this;
    }
    Packet& with(Option code, Ipv4Address value) { return with(code, octets(value)); }

    [[nodiscard]] Bytes bytes() const {
        Bytes out(236);
        out[0] = out[1] = std::byte{1};
        out[2] = std::byte{6};
        store_be(out, 4, xid);
        store_be(out, 10, flags);
        store_be(out, 12, ciaddr.value);
        store_be(out, 24, giaddr.value);
        std::ranges::copy(chaddr.octets, out.begin() + 28);
        if (!cookie) return out;
        for (const int b : {0x63, 0x82, 0x53, 0x63}) out.push_back(static_cast<std::byte>(b));
        for (const auto& [code, value] : options) {
            out.push_back(static_cast<std::byte>(code));
            out.push_back(static_cast<std::byte>(value.size()));
            std::ranges::copy(as_bytes(value), std::back_inserter(out));
        }
        out.push_back(std::byte{255});
        return out;
    }
    [[nodiscard]] wire::Request request() const { return wire::decode(bytes()).value(); }
};

/// A reply read back.
struct Read {
    Bytes bytes;
    std::map<int, std::string> options;
    std::vector<int> order;

    explicit Read(Bytes message) : bytes{std::move(message)} {
        REQUIRE(bytes.size() >= 300);
        REQUIRE(load_be<std::uint32_t>(bytes, 236) == 0x63825363);
        std::size_t i = 240;
        while (true) {
            REQUIRE(i < bytes.size());
            const auto code = std::to_integer<int>(bytes[i++]);
            if (code == 255) break;
            if (code == 0) continue;
            const auto size = std::to_integer<std::size_t>(bytes.at(i++));
            REQUIRE(i + size <= bytes.size());
            options[code] += as_text(ByteSpan{bytes}.subspan(i, size));
            order.push_back(code);
            i += size;
        }
        for (; i < bytes.size(); ++i) REQUIRE(bytes[i] == std::byte{0});
    }
    [[nodiscard]] Ipv4Address address(std::size_t offset) const { return {load_be<std::uint32_t>(bytes, offset)}; }
    [[nodiscard]] Ipv4Address ciaddr() const { return address(12); }
    [[nodiscard]] Ipv4Address yiaddr() const { return address(16); }
    [[nodiscard]] Ipv4Address siaddr() const { return address(20); }
    [[nodiscard]] Ipv4Address giaddr() const { return address(24); }
    [[nodiscard]] std::uint32_t xid() const { return load_be<std::uint32_t>(bytes, 4); }
    [[nodiscard]] std::uint16_t flags() const { return load_be<std::uint16_t>(bytes, 10); }
    [[nodiscard]] std::string file() const {
        const std::string_view field = as_text(ByteSpan{bytes}.subspan(108, 128));
        return std::string{field.substr(0, field.find('\0'))};
    }
    [[nodiscard]] bool has(Option code) const { return options.contains(static_cast<int>(code)); }
    [[nodiscard]] std::string get(Option code) const {
        const auto found = options.find(static_cast<int>(code));
        return found == options.end() ? std::string{} : found->second;
    }
    [[nodiscard]] MessageType type() const {
        return has(Option::message_type) ? static_cast<MessageType>(get(Option::message_type).at(0)) : MessageType::bootp;
    }
    [[nodiscard]] std::uint32_t number(Option code) const { return load_be<std::uint32_t>(as_bytes(get(code)), 0); }
};

inline Read read(const Decision& decision, std::size_t limit_bytes = 548) {
    REQUIRE(decision.action == Decision::Action::reply);
    Bytes out;
    REQUIRE(wire::encode(decision.reply, limit_bytes, out));
    REQUIRE(out.size() <= limit_bytes);
    return Read{std::move(out)};
}

/// One DHCP packet of a capture.
struct Captured {
    Bytes message;
    Ipv4Address from, to;
    [[nodiscard]] bool is_request() const { return message[0] == std::byte{1}; }
};

/// A little-endian pcap file of Ethernet frames with IPv4 and UDP, as tests/golden/dhcp holds.
inline std::vector<Captured> read_capture(const std::string& name) {
    std::ifstream file{std::string{DISKLESS_SOURCE_DIR} + "/tests/golden/dhcp/" + name, std::ios::binary};
    REQUIRE(file.good());
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    const ByteSpan all = as_bytes(text);
    std::vector<Captured> packets;
    for (std::size_t at = 24; at < all.size();) {
        const auto size = std::byteswap(load_be<std::uint32_t>(all, at + 8));
        const ByteSpan packet = all.subspan(at + 16 + 14, size - 14);  // behind the Ethernet header
        const auto ip_bytes = std::to_integer<std::size_t>(packet[0] & std::byte{15}) * 4;
        const auto udp_bytes = load_be<std::uint16_t>(packet, ip_bytes + 4);
        const ByteSpan message = packet.subspan(ip_bytes + 8, udp_bytes - 8u);
        packets.push_back({{message.begin(), message.end()}, {load_be<std::uint32_t>(packet, 12)}, {load_be<std::uint32_t>(packet, 16)}});
        at += 16 + size;
    }
    return packets;
}

}  // namespace diskless::dhcp::test
