#include "services/dhcp/wire/message.hpp"

#include <algorithm>

namespace diskless::dhcp::wire {
namespace {

constexpr std::uint32_t magic_cookie = 0x63825363;
constexpr std::uint8_t ethernet = 1;
constexpr std::size_t sname_offset = 44, sname_bytes = 64;
constexpr std::size_t file_offset = 108, file_bytes = 128;

/// One option field (the options proper, or an overloaded `file` or `sname`).
bool read_options(ByteSpan field, Options& options) noexcept {
    ByteReader reader{field};
    while (reader.remaining() > 0) {
        const auto code = static_cast<Option>(reader.u8());
        if (code == Option::end) return true;
        if (code == Option::pad) continue;
        if (reader.remaining() == 0) return false;
        const std::uint8_t length = reader.u8();
        if (length > reader.remaining()) return false;
        if (!options.append(code, reader.bytes(length))) return false;
    }
    // Deviation: RFC 2131 wants an end option; some ROMs leave it out when the packet is full.
    return true;
}

void write_header(MutableByteSpan out, const Header& h) noexcept {
    ByteWriter writer{out};
    writer.u8(h.op);
    writer.u8(ethernet);
    writer.u8(6);
    writer.u8(h.hops);
    writer.be(h.xid);
    writer.be(h.secs);
    writer.be(h.flags);
    for (const Ipv4Address a : {h.ciaddr, h.yiaddr, h.siaddr, h.giaddr}) writer.be(a.value);
    writer.bytes(h.chaddr.octets);
}

/// The first option of the list with all its parts (RFC 3396), or nothing at its end.
ByteSpan next_option(ByteSpan options) noexcept {
    std::size_t size = 0;
    while (size < options.size() && options[size] == options[0]) size += 2 + std::to_integer<std::size_t>(options[size + 1]);
    return options.first(size);
}

}  // namespace

std::string_view name_of(MessageType type) noexcept {
    constexpr std::array<std::string_view, 9> names{"bootp", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"};
    return names[static_cast<std::size_t>(type)];
}

Decoded<Request> decode(ByteSpan datagram) noexcept {
    if (datagram.size() < header_bytes) return refuse("truncated");
    if (datagram.size() > max_request_bytes) return refuse("oversized");
    ByteReader reader{datagram};
    Decoded<Request> request{std::in_place};
    Header& h = request->header;
    h.op = reader.u8();
    if (h.op != 1) return refuse("not_a_request");
    const std::uint8_t htype = reader.u8();
    const std::uint8_t hlen = reader.u8();
    if (htype != ethernet || hlen != 6) return refuse("not_ethernet");
    h.hops = reader.u8();
    h.xid = reader.be<std::uint32_t>();
    h.secs = reader.be<std::uint16_t>();
    h.flags = reader.be<std::uint16_t>();
    for (Ipv4Address* a : {&h.ciaddr, &h.yiaddr, &h.siaddr, &h.giaddr}) a->value = reader.be<std::uint32_t>();
    h.chaddr = MacAddress::from(reader.bytes(16));
    if (h.chaddr.is_multicast() || h.chaddr == MacAddress{}) return refuse("bad_chaddr");
    reader.skip(sname_bytes + file_bytes);
    if (reader.remaining() < 4 || reader.be<std::uint32_t>() != magic_cookie) return request;  // plain BOOTP, RFC 951

    Options& options = request->options;
    if (!read_options(reader.rest(), options)) return refuse("bad_options");
    const std::uint8_t overload = options.u8(Option::overload).value_or(0);
    if ((overload & 1) != 0 && !read_options(datagram.subspan(file_offset, file_bytes), options)) return refuse("bad_options");
    if ((overload & 2) != 0 && !read_options(datagram.subspan(sname_offset, sname_bytes), options)) return refuse("bad_options");
    if (const auto type = options.u8(Option::message_type)) {
        if (*type < 1 || *type > 8) return refuse("unknown_type");
        request->type = static_cast<MessageType>(*type);
    }
    return request;
}

bool encode(const Reply& reply, std::size_t limit_bytes, std::vector<std::byte>& out) {
    const std::size_t relay_bytes = reply.relay_agent_information.empty() ? 0 : 2 + reply.relay_agent_information.size();
    const std::size_t framing = header_bytes + 4 + relay_bytes + 1;
    const std::size_t needed = framing + reply.options.mandatory().size();
    if (!reply.options.ok() || needed > limit_bytes || reply.relay_agent_information.size() > 255) return false;
    out.assign(std::max(std::min(framing + reply.options.bytes().size(), limit_bytes), min_message_bytes), std::byte{0});
    write_header(out, reply.header);
    if (reply.file.size() < file_bytes) std::ranges::copy(as_bytes(reply.file), out.begin() + file_offset);
    ByteWriter writer{MutableByteSpan{out}.subspan(header_bytes)};
    writer.be(magic_cookie);
    writer.bytes(reply.options.mandatory());
    std::size_t room = limit_bytes - needed;
    for (ByteSpan rest = reply.options.optional(); !rest.empty();) {
        const ByteSpan option = next_option(rest);
        rest = rest.subspan(option.size());
        if (option.size() > room) continue;
        writer.bytes(option);
        room -= option.size();
    }
    if (relay_bytes != 0) {
        writer.u8(static_cast<std::uint8_t>(Option::relay_agent_information));
        writer.u8(static_cast<std::uint8_t>(reply.relay_agent_information.size()));
        writer.bytes(reply.relay_agent_information);
    }
    writer.u8(static_cast<std::uint8_t>(Option::end));
    out.resize(std::max(header_bytes + writer.size(), min_message_bytes));
    return true;
}

}  // namespace diskless::dhcp::wire
