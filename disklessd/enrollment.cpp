#include "disklessd/enrollment.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/log.hpp"

namespace diskless {

std::string name_for(std::string_view name_template, const MacAddress& mac, std::string_view group) {
    std::string digits;
    for (const std::byte octet : mac.octets) fmt::format_to(std::back_inserter(digits), "{:02x}", std::to_integer<unsigned>(octet));
    std::string name{name_template};
    const auto replace = [&](std::string_view word, std::string_view value) {
        for (auto at = name.find(word); at != std::string::npos; at = name.find(word, at + value.size()))
            name.replace(at, word.size(), value);
    };
    replace("{mac}", digits);
    replace("{group}", group);
    return name;
}

Enrollment::Enrollment(TaskGroup& tasks, db::CatalogStore& clients, db::EventStore& events, config::UnknownClients policy,
                       CatalogChanged changed)
    : tasks_{tasks}, clients_{clients}, events_{events}, policy_{std::move(policy)}, changed_{std::move(changed)} {}

void Enrollment::enroll(const MacAddress& mac) {
    {
        const std::lock_guard lock{mutex_};
        if (under_way_.size() >= max_at_once || !under_way_.insert(mac).second) return;
    }
    tasks_.spawn([this, mac] { return make_client(mac); });
}

asio::awaitable<void> Enrollment::make_client(MacAddress mac) {
    (void)co_await enroll_in(mac, policy_.group);
    const std::lock_guard lock{mutex_};
    under_way_.erase(mac);
}

asio::awaitable<boot::OrRefusal<std::string>> Enrollment::enroll_in(MacAddress mac, std::string group) {
    using boot::Refusal;
    if (std::ranges::find(policy_.groups, group) == policy_.groups.end())
        co_return std::unexpected{Refusal{Refusal::Kind::wrong, fmt::format("machines are not enrolled in group '{}'", group)}};
    try {
        const auto enrolled = co_await clients_.enroll({.name = name_for(policy_.name, mac, group), .macs = {mac}, .group = group});
        log::info("client.enrolled", "client={} mac={} group={}", enrolled.client.name, mac, enrolled.client.group);
        events_.record({.at = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
                        .kind = "client.enrolled",
                        .subject = enrolled.client.name,
                        .detail = fmt::format("mac={} group={}", mac, enrolled.client.group)});
        co_await changed_();
        co_return enrolled.client.name;
    } catch (const std::exception& e) {
        log::error("client.not_enrolled", "mac={} error=\"{}\"", mac, e.what());
        co_return std::unexpected{Refusal{Refusal::Kind::failed, e.what()}};
    }
}

}  // namespace diskless
