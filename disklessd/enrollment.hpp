// Enrollment: machines nobody declared become clients of the configured group (policy "enroll"). Any thread may ask; the store decides.
#pragma once

#include <functional>
#include <mutex>
#include <set>

#include "common/task_group.hpp"
#include "db/catalog.hpp"
#include "db/events.hpp"
#include "services/dhcp/service.hpp"

namespace diskless {

class Enrollment final : public dhcp::Enroller {
 public:
    using CatalogChanged = std::function<void(boot::CatalogData)>;
    Enrollment(TaskGroup& tasks, db::CatalogStore& clients, db::EventStore& events, std::string group, CatalogChanged changed);

    /// "pc-525400123401" in the group; its next DISCOVER finds it known.
    void enroll(const MacAddress& mac) override;

    /// Machines being enrolled at one moment; beyond it they wait for their next DISCOVER.
    static constexpr std::size_t max_at_once = 64;

 private:
    asio::awaitable<void> make_client(MacAddress mac);

    TaskGroup& tasks_;
    db::CatalogStore& clients_;
    db::EventStore& events_;
    std::string group_;
    CatalogChanged changed_;
    std::mutex mutex_;
    std::set<MacAddress> under_way_;
};

}  // namespace diskless
