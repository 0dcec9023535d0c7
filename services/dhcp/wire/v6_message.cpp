#include "services/dhcp/wire/v6_message.hpp"

#include <algorithm>
#include <array>

namespace diskless::dhcp::v6 {
namespace {

constexpr std::size_t relay_header_bytes = 34;
constexpr std::uint16_t ethernet = 1;
constexpr std::uint32_t intel = 343;  // who defined PXE; EDK2 compares nothing but the text behind it

enum DuidType : std::uint16_t { link_layer_and_time = 1, link_layer = 3, uuid = 4 };

/// Walks the options of a message or of an option. False: one of them is cut off.
template<class Do>
bool each_option(ByteSpan options, Do&& take) {
    ByteReader reader{options};
    while (reader.remaining() > 0) {
        const auto code = static_cast<Option>(reader.be<std::uint16_t>());
        const std::uint16_t length = reader.be<std::uint16_t>();
        const ByteSpan value = reader.bytes(length);
        if (!reader.ok() || !take(code, value)) return false;
    }
    return true;
}

bool read_association(ByteSpan value, Association& association) {
    if (value.size() < 12) return false;
    association.id = load_be<std::uint32_t>(value, 0);
    return each_option(value.subspan(12), [&](Option code, ByteSpan inner) {
        if (code != Option::ia_address) return true;
        if (inner.size() < 24 || association.addresses.size() == max_associations) return false;
        association.addresses.push_back(Ipv6Address::from(inner));
        return true;
    });
}

std::optional<MacAddress> ethernet_address(ByteSpan typed) noexcept {
    if (typed.size() != 2 + MacAddress{}.octets.size() || load_be<std::uint16_t>(typed, 0) != ethernet) return std::nullopt;
    return MacAddress::from(typed.subspan(2));
}

/// Takes the relays off; what is left is the client's own message.
Decoded<ByteSpan> unwrap(ByteSpan message, std::vector<Hop>& hops) {
    while (!message.empty() && message[0] == std::byte{static_cast<std::uint8_t>(MessageType::relay_forward)}) {
        if (message.size() < relay_header_bytes) return refuse("truncated");
        if (hops.size() == max_hops) return refuse("too_many_relays");
        Hop hop{.count = load_be<std::uint8_t>(message, 1),
                .link = Ipv6Address::from(message.subspan(2)),
                .peer = Ipv6Address::from(message.subspan(18)),
                .interface_id = {},
                .link_layer = {}};
        std::optional<ByteSpan> inner;
        const bool sound = each_option(message.subspan(relay_header_bytes), [&](Option code, ByteSpan value) {
            if (code == Option::relay_message) inner = value;
            if (code == Option::interface_id) hop.interface_id = value;
            if (code == Option::client_link_layer_address) hop.link_layer = ethernet_address(value);
            return true;
        });
        if (!sound || !inner) return refuse("bad_options");
        hops.push_back(hop);
        message = *inner;
    }
    return message;
}

bool read_option(Option code, ByteSpan value, Request& request) {
    switch (code) {
        case Option::client_id: request.client_id = value; return value.size() > 2 && value.size() <= max_duid_bytes;
        case Option::server_id: request.server_id = value; return value.size() > 2 && value.size() <= max_duid_bytes;
        case Option::ia_na:
            return request.associations.size() < max_associations && read_association(value, request.associations.emplace_back());
        case Option::option_request: request.requested = value; return value.size() % 2 == 0;
        case Option::rapid_commit: request.rapid_commit = true; return true;
        case Option::user_class: request.user_class = as_text(value); return true;
        case Option::vendor_class:
            if (value.size() < 6) return false;
            if (request.vendor_class.empty())
                request.vendor_class = as_text(value.subspan(6, std::min<std::size_t>(load_be<std::uint16_t>(value, 4), value.size() - 6)));
            return true;
        case Option::client_architecture:
            if (value.size() < 2) return false;
            request.architecture = load_be<std::uint16_t>(value, 0);
            return true;
        default: return true;
    }
}

/// Grows as it is written.
class Writer {
 public:
    explicit Writer(std::vector<std::byte>& out) : out_{out} {}

    template<std::unsigned_integral T>
    void be(T value) {
        out_.resize(out_.size() + sizeof value);
        store_be(MutableByteSpan{out_}, out_.size() - sizeof value, value);
    }
    void bytes(ByteSpan bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    void address(const Ipv6Address& address) { bytes(address.octets); }
    void option(Option code, ByteSpan value) {
        nested(code, [&] { bytes(value); });
    }
    /// An option whose value `fill` writes.
    template<class Fill>
    void nested(Option code, Fill&& fill) {
        be(static_cast<std::uint16_t>(code));
        be(std::uint16_t{0});
        const std::size_t start = out_.size();
        fill();
        store_be(MutableByteSpan{out_}, start - 2, static_cast<std::uint16_t>(out_.size() - start));
    }

 private:
    std::vector<std::byte>& out_;
};

void write_status(Writer& writer, Status status) {
    writer.nested(Option::status_code, [&] { writer.be(static_cast<std::uint16_t>(status)); });
}

void write_address(Writer& writer, const Ipv6Address& address, std::chrono::seconds valid) {
    const auto seconds = static_cast<std::uint32_t>(valid.count());
    writer.nested(Option::ia_address, [&] {
        writer.address(address);
        writer.be(seconds);  // preferred: as long as it is valid, for nobody renumbers here
        writer.be(seconds);
    });
}

void write_granted(Writer& writer, const Granted& granted, std::chrono::seconds valid) {
    writer.nested(Option::ia_na, [&] {
        const auto seconds = static_cast<std::uint32_t>(valid.count());
        writer.be(granted.id);
        writer.be(granted.address ? seconds / 2 : 0);
        writer.be(granted.address ? seconds / 5 * 4 : 0);
        if (granted.address) write_address(writer, *granted.address, valid);
        for (const Ipv6Address& address : granted.ended) write_address(writer, address, {});
        if (granted.status) write_status(writer, *granted.status);
    });
}

/// RFC 8415 21.14: names as in DNS, without compression.
void write_domain(Writer& writer, std::string_view domain) {
    writer.nested(Option::domain_list, [&] {
        while (!domain.empty()) {
            const std::string_view label = domain.substr(0, domain.find('.'));
            writer.be(static_cast<std::uint8_t>(label.size()));
            writer.bytes(as_bytes(label));
            domain.remove_prefix(std::min(domain.size(), label.size() + 1));
        }
        writer.be(std::uint8_t{0});
    });
}

void write_message(Writer& writer, const Reply& reply, const Request& request, ByteSpan server_id) {
    writer.be(static_cast<std::uint32_t>(reply.type) << 24 | request.transaction_id);
    if (!request.client_id.empty()) writer.option(Option::client_id, request.client_id);
    writer.option(Option::server_id, server_id);
    if (reply.preference) writer.nested(Option::preference, [&] { writer.be(*reply.preference); });
    if (reply.rapid_commit) writer.option(Option::rapid_commit, {});
    for (const Granted& granted : reply.granted) write_granted(writer, granted, reply.valid);
    if (reply.status) write_status(writer, *reply.status);
    if (!reply.dns.empty())
        writer.nested(Option::dns_servers, [&] {
            for (const Ipv6Address& server : reply.dns) writer.address(server);
        });
    if (!reply.domain.empty()) write_domain(writer, reply.domain);
    if (!reply.vendor_class.empty())
        writer.nested(Option::vendor_class, [&] {
            writer.be(intel);
            writer.be(static_cast<std::uint16_t>(reply.vendor_class.size()));
            writer.bytes(as_bytes(reply.vendor_class));
        });
    if (!reply.boot_file_url.empty()) writer.option(Option::boot_file_url, as_bytes(reply.boot_file_url));
}

}  // namespace

std::string_view name_of(MessageType type) noexcept {
    constexpr std::array<std::string_view, 14> names{
        "none",    "solicit",     "advertise",           "request",       "confirm",    "renew", "rebind", "reply", "release",
        "decline", "reconfigure", "information_request", "relay_forward", "relay_reply"};
    return names.at(std::min(names.size() - 1, static_cast<std::size_t>(type)));
}

bool Request::asked_for(Option code) const noexcept {
    for (std::size_t at = 0; at + 2 <= requested.size(); at += 2) {
        if (load_be<std::uint16_t>(requested, at) == static_cast<std::uint16_t>(code)) return true;
    }
    return false;
}

Decoded<Request> decode(ByteSpan datagram) noexcept {
    if (datagram.size() > max_request_bytes) return refuse("oversized");
    Decoded<Request> request{std::in_place};
    const auto message = unwrap(datagram, request->hops);
    if (!message) return std::unexpected{message.error()};
    if (message->size() < 4) return refuse("truncated");
    const std::uint32_t first = load_be<std::uint32_t>(*message, 0);
    request->type = static_cast<MessageType>(first >> 24);
    request->transaction_id = first & 0xffffff;
    switch (request->type) {
        case MessageType::solicit:
        case MessageType::request:
        case MessageType::confirm:
        case MessageType::renew:
        case MessageType::rebind:
        case MessageType::release:
        case MessageType::decline:
        case MessageType::information_request: break;
        default: return refuse("not_a_request");
    }
    const bool sound = each_option(message->subspan(4), [&](Option code, ByteSpan value) { return read_option(code, value, *request); });
    if (!sound) return refuse("bad_options");
    return request;
}

std::optional<MacAddress> mac_in_duid(ByteSpan duid) noexcept {
    if (duid.size() < 2) return std::nullopt;
    switch (load_be<std::uint16_t>(duid, 0)) {
        case link_layer: return ethernet_address(duid.subspan(2));
        case link_layer_and_time:
            if (duid.size() != 14 || load_be<std::uint16_t>(duid, 2) != ethernet) return std::nullopt;
            return MacAddress::from(duid.subspan(8));
        default: return std::nullopt;
    }
}

std::optional<ByteSpan> uuid_in_duid(ByteSpan duid) noexcept {
    if (duid.size() != 18 || load_be<std::uint16_t>(duid, 0) != uuid) return std::nullopt;
    return duid.subspan(2);
}

std::vector<std::byte> duid_of(const MacAddress& mac) {
    std::vector<std::byte> duid;
    Writer writer{duid};
    writer.be(static_cast<std::uint16_t>(link_layer));
    writer.be(ethernet);
    writer.bytes(mac.octets);
    return duid;
}

// RFC 8415 19.3: a relay gets back what it sent, with the reply in place of the request.
std::vector<std::byte> encode(const Reply& reply, const Request& request, ByteSpan server_id) {
    std::vector<std::byte> out;
    Writer message{out};
    write_message(message, reply, request, server_id);
    for (auto hop = request.hops.rbegin(); hop != request.hops.rend(); ++hop) {
        std::vector<std::byte> wrapped;
        Writer writer{wrapped};
        writer.be(static_cast<std::uint8_t>(MessageType::relay_reply));
        writer.be(hop->count);
        writer.address(hop->link);
        writer.address(hop->peer);
        if (!hop->interface_id.empty()) writer.option(Option::interface_id, hop->interface_id);
        writer.option(Option::relay_message, out);
        out = std::move(wrapped);
    }
    return out;
}

}  // namespace diskless::dhcp::v6
