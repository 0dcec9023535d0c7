#include "disklessd/enrollment.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/log.hpp"

namespace diskless {

Enrollment::Enrollment(TaskGroup& tasks, db::CatalogStore& clients, db::EventStore& events, std::string group, CatalogChanged changed)
    : tasks_{tasks}, clients_{clients}, events_{events}, group_{std::move(group)}, changed_{std::move(changed)} {}

void Enrollment::enroll(const MacAddress& mac) {
    {
        const std::lock_guard lock{mutex_};
        if (under_way_.size() >= max_at_once || !under_way_.insert(mac).second) return;
    }
    tasks_.spawn([this, mac] { return make_client(mac); });
}

asio::awaitable<void> Enrollment::make_client(MacAddress mac) {
    boot::ClientEntry entry{.macs = {mac}, .group = group_};
    entry.name = "pc-";
    for (const std::byte octet : mac.octets) fmt::format_to(std::back_inserter(entry.name), "{:02x}", std::to_integer<unsigned>(octet));
    try {
        auto enrolled = co_await clients_.enroll(std::move(entry));
        log::info("client.enrolled", "client={} mac={} group={}", enrolled.client.name, mac, group_);
        events_.record({.at = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
                        .kind = "client.enrolled",
                        .subject = enrolled.client.name,
                        .detail = fmt::format("mac={} group={}", mac, group_)});
        changed_(std::move(enrolled.catalog));
    } catch (const std::exception& e) {
        log::error("client.not_enrolled", "mac={} error=\"{}\"", mac, e.what());
    }
    const std::lock_guard lock{mutex_};
    under_way_.erase(mac);
}

}  // namespace diskless
