// BootSets: what machines read of a version while they boot is remembered beside the version, and brought into the page cache when the
// first machine of many boots: after the server's start, and after a pause. Everything slow is done by one thread of its own.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "common/counters.hpp"
#include "storage/boot_set.hpp"
#include "storage/read_map.hpp"

namespace diskless {

/// A file that many disks read, and what is noted of it.
struct WatchedFile {
    std::filesystem::path path;
    std::shared_ptr<storage::ReadMap> reads;
};

class BootSets {
 public:
    using Clock = std::chrono::steady_clock;
    struct Limits {
        Clock::duration recording = std::chrono::seconds{120};  ///< from the login of the firmware on
        Clock::duration pause = std::chrono::minutes{10};       ///< without a boot; then the page cache may have forgotten
        std::uint64_t warm_bytes = std::uint64_t{2} << 30;      ///< and at most half of the memory that is available
    };
    struct Version {
        std::string name;                ///< "debian-12@3"
        std::filesystem::path file;      ///< of its boot set, absolute
        std::vector<WatchedFile> chain;  ///< its own file, and those that it stands on
    };

    explicit BootSets(CounterRegistry& counters);
    BootSets(CounterRegistry& counters, Limits limits);
    /// Recordings under way end and are kept.
    ~BootSets();
    BootSets(const BootSets&) = delete;
    BootSets& operator=(const BootSets&) = delete;

    // Any thread; these return at once.

    /// A machine begins to boot from `version`.
    void boot_begins(Version version, Clock::time_point now = Clock::now());
    /// Ends recordings whose time is over; now and then.
    void look(Clock::time_point now = Clock::now());

 private:
    struct State {
        Clock::time_point last_boot;
        std::optional<Clock::time_point> until;  ///< recording
        bool known = false;                      ///< there is a set
        Version recorded;                        ///< with the files of the recording
    };

    void end(State& state);
    void keep(const Version& version, storage::BootSet fresh);
    void warm(const Version& version);
    [[nodiscard]] std::optional<storage::BootSet> load(const Version& version);
    void is_known(const std::string& name);

    const Limits limits_;
    Counter &recorded_bytes_, &warmed_bytes_;
    std::mutex mutex_;
    std::map<std::string, State> states_;
    std::atomic<bool> stopping_{false};
    asio::thread_pool worker_{1};  // last: uses all of the above
};

}  // namespace diskless
