// Any datagram through the DHCP decoder: no crash, no read out of bounds; and what was read, written again, reads the same.
// Input: the datagram.
#include <algorithm>
#include <cstdlib>

#include "services/dhcp/request_view.hpp"
#include "services/dhcp/wire/message.hpp"

namespace {

using namespace diskless;
using namespace diskless::dhcp;

void require(bool condition) {
    if (!condition) std::abort();
}

bool written_apart(wire::Option code) { return code == wire::Option::relay_agent_information || code == wire::Option::overload; }

void check_round_trip(const wire::Request& request) {
    wire::Reply again{.header = request.header};
    for (unsigned i = 1; i < 255; ++i) {
        const auto code = static_cast<wire::Option>(i);
        if (request.options.has(code) && !written_apart(code)) again.options.put(code, request.options.get(code));
    }
    again.relay_agent_information = request.options.get(wire::Option::relay_agent_information);
    constexpr std::size_t limit_bytes = 1472;
    std::vector<std::byte> bytes;
    if (!wire::encode(again, limit_bytes, bytes)) return;  // more options than a reply can carry
    require(bytes.size() >= wire::min_message_bytes && bytes.size() <= limit_bytes);
    const auto back = wire::decode(bytes);
    require(back.has_value());
    require(back->type == request.type && back->header.xid == request.header.xid && back->header.chaddr == request.header.chaddr);
    require(back->header.giaddr == request.header.giaddr && back->header.flags == request.header.flags);
    for (unsigned i = 1; i < 255; ++i) {
        const auto code = static_cast<wire::Option>(i);
        if (code != wire::Option::overload) require(std::ranges::equal(back->options.get(code), request.options.get(code)));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto request = wire::decode(std::as_bytes(std::span{bytes, size}));
    if (!request) {
        require(!request.error().reason.empty());
        return 0;
    }
    const boot::Firmware firmware = boot::firmware_of(hints_of(request->options));
    const std::string words = describe(firmware, request->options.text(wire::Option::vendor_class));
    require(std::ranges::all_of(words, [](char c) { return c >= ' ' && c < 0x7f; }));
    (void)uuid_of(request->options);
    (void)link_selection(request->options);
    check_round_trip(*request);
    return 0;
}
