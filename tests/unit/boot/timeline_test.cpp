#include "boot/timeline.hpp"

#include <doctest/doctest.h>

using namespace diskless::boot;
using namespace std::chrono_literals;
using Change = BootTimeline::Change;

namespace {

Event at(Step step, std::chrono::milliseconds when) {
    return {.step = step, .client = "desk-01", .at = std::chrono::system_clock::time_point{std::chrono::hours{1}} + when};
}

}  // namespace

TEST_CASE("a UEFI boot from ROM to running system is one timeline") {
    BootTimeline timeline;
    CHECK(timeline.observe(at(Step::dhcp, 0ms)) == Change::started);
    CHECK(timeline.observe(at(Step::loader, 200ms)) == Change::step);
    CHECK(timeline.observe(at(Step::dhcp, 1s)) == Change::step);
    CHECK(timeline.observe(at(Step::script, 1100ms)) == Change::step);
    CHECK(timeline.observe(at(Step::login, 1200ms)) == Change::step);
    CHECK(timeline.observe(at(Step::login, 1300ms)) == Change::none);
    CHECK(timeline.observe(at(Step::first_read, 1400ms)) == Change::step);
    CHECK(timeline.observe(at(Step::system_dhcp, 9s)) == Change::step);
    CHECK(timeline.observe(at(Step::system_login, 10s)) == Change::step);
    CHECK(timeline.observe(at(Step::first_write, 12340ms)) == Change::finished);
    CHECK(timeline.finished());
    CHECK(timeline.client() == "desk-01");
    CHECK(timeline.summary() ==
          "dhcp 0.0 s, loader 0.2 s, dhcp 1.0 s, script 1.1 s, login 1.2 s, first_read 1.4 s, system_dhcp 9.0 s, system_login 10.0 s, "
          "first_write 12.3 s");
    // Up: renewals and relogins are no boot.
    CHECK(timeline.observe(at(Step::system_dhcp, 6h)) == Change::none);
    CHECK(timeline.observe(at(Step::system_login, 6h)) == Change::none);
}

TEST_CASE("UEFI firmware that asks again behind its loader has not started it; said once a boot") {
    const auto uefi = [](std::chrono::milliseconds when) {
        Event event = at(Step::dhcp, when);
        event.uefi_asks = true;
        return event;
    };
    BootTimeline timeline;
    CHECK(timeline.observe(uefi(0ms)) == Change::started);
    CHECK(timeline.observe(at(Step::loader, 1s)) == Change::step);
    CHECK(timeline.observe(uefi(3s)) == Change::refused);
    CHECK(timeline.observe(at(Step::loader, 4s)) == Change::step);
    CHECK(timeline.observe(uefi(6s)) == Change::step);
    // A loader that was started asks by itself.
    BootTimeline works;
    CHECK(works.observe(uefi(0ms)) == Change::started);
    CHECK(works.observe(at(Step::loader, 1s)) == Change::step);
    CHECK(works.observe(at(Step::dhcp, 2s)) == Change::step);
    CHECK(works.observe(uefi(3s)) == Change::step);
}

TEST_CASE("firmware asking again after the script is a reset; silence makes any firmware DHCP a new boot") {
    BootTimeline timeline;
    timeline.observe(at(Step::dhcp, 0ms));
    timeline.observe(at(Step::script, 1s));
    CHECK(timeline.observe(at(Step::dhcp, 5s)) == Change::started);
    CHECK(timeline.entries().size() == 1);
    CHECK(timeline.observe(at(Step::dhcp, 6s)) == Change::step);
    CHECK(timeline.observe(at(Step::dhcp, 6s + 6min)) == Change::started);
    timeline.observe(at(Step::first_write, 8min));
    CHECK(timeline.observe(at(Step::dhcp, 9min)) == Change::started);
    CHECK_FALSE(timeline.finished());
}

TEST_CASE("a machine that asks for ever fills nothing") {
    BootTimeline timeline;
    for (int i = 0; i < 1000; ++i) timeline.observe(at(Step::dhcp, i * 1s));
    CHECK(timeline.entries().size() == BootTimeline::max_entries);
}
