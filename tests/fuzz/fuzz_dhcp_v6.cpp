// Any datagram through the DHCPv6 decoder, the responder and the encoder: no crash, no read out of bounds; an address is always one of the
// network, never the server's, and told MACs are true.
// Input: one byte for the policy, then the datagram.
#include <cstdlib>

#include "services/dhcp/v6_responder.hpp"

namespace {

using namespace diskless;
using namespace diskless::dhcp::v6;

void require(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return 0;
    static const boot::Catalog catalog{{.clients = {{.name = "desk-01",
                                                     .macs = {MacAddress::parse("52:54:00:12:34:01").value()},
                                                     .uuid = Uuid::parse("00112233-4455-6677-8899-aabbccddeeff")}}}};
    const Ipv6Network network = Ipv6Network::parse("fd77::/64").value();
    const Ipv6Address server = Ipv6Address::parse("fd77::1").value();
    Responder responder{{.subnets = {{.network = network}},
                         .unknown = static_cast<config::UnknownPolicy>(bytes[0] % 3),
                         .server = {.address = {}, .address6 = server, .target_prefix = "iqn.2026-11.fuzz"},
                         .duid = duid_of(MacAddress{})}};
    const auto request = decode(std::as_bytes(std::span{bytes, size}).subspan(1));
    if (!request) {
        require(!request.error().reason.empty());
        return 0;
    }
    for (int i = 0; i < 2; ++i) {  // what was declined is another one the second time
        const Decision decision = responder.respond(*request, Ipv6Address::parse("fe80::5054:ff:fe12:3401").value(), catalog);
        if (decision.address) {
            require(network.contains(*decision.address) && *decision.address != server);
            require(!decision.address->mac() || decision.address->mac() == decision.mac);
        }
        if (decision.action == Decision::Action::reply) require(encode(decision.reply, *request, responder.duid()).size() < 65536);
    }
    return 0;
}
