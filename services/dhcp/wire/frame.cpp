#include "services/dhcp/wire/frame.hpp"

#include <algorithm>

namespace diskless::dhcp::wire {
namespace {

constexpr std::size_t ethernet_bytes = 14, ip_bytes = 20, udp_bytes = 8;

}  // namespace

void InternetChecksum::add(ByteSpan bytes) noexcept {
    for (const std::byte b : bytes) {
        sum_ += std::to_integer<std::uint64_t>(b) << (odd_ ? 0 : 8);
        odd_ = !odd_;
    }
}

std::uint16_t InternetChecksum::value() const noexcept {
    std::uint64_t sum = sum_;
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

void build_frame(const Endpoint& from, const Endpoint& to, ByteSpan payload, std::vector<std::byte>& out) {
    out.assign(ethernet_bytes + ip_bytes + udp_bytes + payload.size(), std::byte{0});
    const MutableByteSpan frame{out};
    ByteWriter ethernet{frame.first(ethernet_bytes)};
    ethernet.bytes(to.mac.octets);
    ethernet.bytes(from.mac.octets);
    ethernet.be<std::uint16_t>(0x0800);

    const MutableByteSpan ip_header = frame.subspan(ethernet_bytes, ip_bytes);
    ByteWriter ip{ip_header};
    ip.be<std::uint16_t>(0x4510);  // version 4, five words, low delay
    ip.be(static_cast<std::uint16_t>(ip_bytes + udp_bytes + payload.size()));
    ip.be<std::uint32_t>(0x00004000);  // never fragmented
    ip.u8(64);
    ip.u8(17);
    ip.be<std::uint16_t>(0);
    ip.be(from.address.value);
    ip.be(to.address.value);
    InternetChecksum ip_sum;
    ip_sum.add(ip_header);
    store_be(ip_header, 10, ip_sum.value());

    const MutableByteSpan udp_header = frame.subspan(ethernet_bytes + ip_bytes, udp_bytes);
    const auto udp_length = static_cast<std::uint16_t>(udp_bytes + payload.size());
    ByteWriter udp{udp_header};
    udp.be(from.port);
    udp.be(to.port);
    udp.be(udp_length);
    std::ranges::copy(payload, out.begin() + ethernet_bytes + ip_bytes + udp_bytes);
    std::array<std::byte, 12> pseudo{};  // RFC 768
    store_be(pseudo, 0, from.address.value);
    store_be(pseudo, 4, to.address.value);
    pseudo[9] = std::byte{17};
    store_be(pseudo, 10, udp_length);
    InternetChecksum udp_sum;
    udp_sum.add(pseudo);
    udp_sum.add(frame.subspan(ethernet_bytes + ip_bytes));
    const std::uint16_t sum = udp_sum.value();
    store_be<std::uint16_t>(udp_header, 6, sum == 0 ? 0xffff : sum);
}

}  // namespace diskless::dhcp::wire
