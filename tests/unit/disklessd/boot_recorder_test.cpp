// The recorder's memory: bounded, and a storm of strangers costs no declared machine its timeline.
#include "disklessd/boot_recorder.hpp"

#include <doctest/doctest.h>

using namespace diskless;

namespace {

MacAddress mac(std::uint8_t kind, std::uint32_t number) {
    MacAddress address{{std::byte{0x52}, std::byte{kind}}};
    store_be(MutableByteSpan{address.octets}, 2, number);
    return address;
}

void hear(BootRecorder& recorder, MacAddress from, std::string client) {
    recorder.observe({.step = boot::Step::dhcp, .mac = from, .client = std::move(client), .at = std::chrono::system_clock::now()});
}

}  // namespace

TEST_CASE("a storm of strangers: declared machines are remembered, the oldest strangers are not") {
    BootRecorder recorder{[](MacAddress, const boot::BootTimeline&) {}};
    hear(recorder, mac(1, 1), "desk-01");
    hear(recorder, mac(2, 0), "");
    hear(recorder, mac(2, 1), "");
    hear(recorder, mac(2, 0), "");  // heard of last
    for (std::uint32_t n = 2; n < BootRecorder::max_machines; ++n) hear(recorder, mac(2, n), "");
    CHECK(recorder.remembers(mac(1, 1)));
    CHECK(recorder.remembers(mac(2, 0)));
    CHECK_FALSE(recorder.remembers(mac(2, 1)));
    hear(recorder, mac(2, 0), "desk-02");  // declared meanwhile
    for (std::uint32_t n = 0; n < BootRecorder::max_machines; ++n) hear(recorder, mac(3, n), "");
    CHECK(recorder.remembers(mac(1, 1)));
    CHECK(recorder.remembers(mac(2, 0)));
    CHECK_FALSE(recorder.remembers(mac(2, 2)));
}
