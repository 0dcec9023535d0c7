// BootStore: the boots that were seen, with their steps: what the boot recorder hands on to be kept. The newest ones are.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "boot/timeline.hpp"
#include "common/asio.hpp"
#include "db/database.hpp"

namespace diskless::db {

struct BootRecord {
    struct Step {
        std::string step;  ///< boot::name_of(Step)
        std::chrono::milliseconds after_start;
        std::string detail;
    };
    std::int64_t id = 0;
    MacAddress mac;
    std::string client;  ///< empty: a machine nobody declared
    std::chrono::sys_time<std::chrono::milliseconds> started;
    std::chrono::milliseconds duration{};
    std::string outcome;  ///< "running": the system wrote to its disk; "stopped": it was not seen to get there
    std::vector<Step> steps;
};

class BootStore {
 public:
    static constexpr std::int64_t max_boots = 20'000;  // some 10 MB: a class of 100 machines for most of a year

    explicit BootStore(Database& database) : database_{&database} {}

    /// From any thread; returns at once. What cannot be kept is logged: no boot waits for its record.
    void keep(MacAddress mac, const boot::BootTimeline& timeline);
    /// The newest first; of one client, or of all when `client` is empty.
    [[nodiscard]] asio::awaitable<std::vector<BootRecord>> newest(std::size_t count, std::string client = {});

 private:
    Database* database_;
};

}  // namespace diskless::db
