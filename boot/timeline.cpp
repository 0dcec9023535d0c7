#include "boot/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace diskless::boot {

std::string_view name_of(Step step) noexcept {
    switch (step) {
        case Step::dhcp: return "dhcp";
        case Step::loader: return "loader";
        case Step::script: return "script";
        case Step::kernel: return "kernel";
        case Step::login: return "login";
        case Step::first_read: return "first_read";
        case Step::system_dhcp: return "system_dhcp";
        case Step::system_login: return "system_login";
        case Step::first_write: return "first_write";
    }
    return {};
}

Step step_of_file(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 6> loaders{".efi", ".kpxe", ".kkpxe", ".pxe", ".0", ".signed"};
    if (name.ends_with(".ipxe") || name.contains("grub.cfg") || name.contains("pxelinux.cfg")) return Step::script;
    return std::ranges::any_of(loaders, [name](std::string_view ending) { return name.ends_with(ending); }) ? Step::loader : Step::kernel;
}

// ROM and loader both ask for an address before the script, so only a firmware DHCP after the script (or any later step) is a reset.
bool BootTimeline::begins_boot(const Event& event) const noexcept {
    if (entries_.empty()) return true;
    const bool came_further = std::ranges::any_of(entries_, [](const Entry& entry) { return entry.step >= Step::script; });
    if (event.step == Step::dhcp) return came_further || event.at - last_ > boot_silence;
    // A system that is up asks for its lease and logs in again now and then: that is no boot.
    return false;
}

BootTimeline::Change BootTimeline::observe(const Event& event) {
    const bool begins = begins_boot(event);
    if (begins) {
        *this = BootTimeline{};
        started_ = event.at;
    }
    if (finished_) return Change::none;
    last_ = event.at;
    if (!event.client.empty()) client_ = event.client;
    // iPXE and GRUB log in and read several times; a step counts once, except that each stage's own DHCP and each file fetched says
    // something new.
    const bool once = event.step != Step::dhcp && event.step != Step::loader && event.step != Step::kernel;
    if (once && std::ranges::any_of(entries_, [&](const Entry& entry) { return entry.step == event.step; })) return Change::none;
    if (entries_.size() >= max_entries) return Change::none;
    const bool refused = event.uefi_asks && !entries_.empty() && entries_.back().step == Step::loader && !std::exchange(refused_, true);
    entries_.push_back({event.step, std::chrono::duration_cast<std::chrono::milliseconds>(event.at - started_), event.detail});
    finished_ = event.step == Step::first_write;
    if (refused) return Change::refused;
    return finished_ ? Change::finished : begins ? Change::started : Change::step;
}

std::string BootTimeline::summary() const {
    std::string out;
    for (const Entry& entry : entries_) {
        fmt::format_to(std::back_inserter(out), "{}{} {}.{} s", out.empty() ? "" : ", ", name_of(entry.step),
                       entry.after_start.count() / 1000, entry.after_start.count() % 1000 / 100);
    }
    return out;
}

}  // namespace diskless::boot
