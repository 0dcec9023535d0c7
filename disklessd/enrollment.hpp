// Enrollment: machines nobody declared become clients: by themselves (policy "enroll"), or as somebody chose in their menu (policy "menu").
// Any thread may ask; the store decides.
#pragma once

#include <functional>
#include <mutex>
#include <set>

#include "boot/image.hpp"
#include "common/task_group.hpp"
#include "config/config.hpp"
#include "db/catalog.hpp"
#include "db/events.hpp"
#include "services/dhcp/service.hpp"

namespace diskless {

class Enrollment final : public dhcp::Enroller {
 public:
    /// Ends when everybody sees what the store has.
    using CatalogChanged = std::function<asio::awaitable<void>()>;
    Enrollment(TaskGroup& tasks, db::CatalogStore& clients, db::EventStore& events, config::UnknownClients policy, CatalogChanged changed);

    /// A client of the policy's group; its next DISCOVER finds it known.
    void enroll(const MacAddress& mac) override;
    /// A client of `group`, which is one of the policy's; its name, which is an old one if it was known already.
    asio::awaitable<boot::OrRefusal<std::string>> enroll_in(MacAddress mac, std::string group);

    /// Machines being enrolled at one moment; beyond it they wait for their next DISCOVER.
    static constexpr std::size_t max_at_once = 64;

 private:
    asio::awaitable<void> make_client(MacAddress mac);

    TaskGroup& tasks_;
    db::CatalogStore& clients_;
    db::EventStore& events_;
    const config::UnknownClients policy_;
    CatalogChanged changed_;
    std::mutex mutex_;
    std::set<MacAddress> under_way_;
};

/// A name as the template has it; {n}, {nn} and {nnn} are left for the store, which knows what is free.
[[nodiscard]] std::string name_for(std::string_view name_template, const MacAddress& mac, std::string_view group);

}  // namespace diskless
