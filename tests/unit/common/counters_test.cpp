#include "common/counters.hpp"

#include <doctest/doctest.h>

using namespace diskless;

TEST_CASE("a counter is one and the same by name and labels") {
    CounterRegistry registry;
    Counter& discovers = registry.counter("diskless_dhcp_messages_total", R"(type="discover")");
    discovers.add();
    registry.counter("diskless_dhcp_messages_total", R"(type="discover")").add(2);
    registry.counter("diskless_dhcp_messages_total", R"(type="request")").add(5);
    const auto samples = registry.samples();
    REQUIRE(samples.size() == 2);
    CHECK(samples[0].name == R"(diskless_dhcp_messages_total{type="discover"})");
    CHECK(samples[0].value == 3);
    CHECK(samples[1].value == 5);
}
