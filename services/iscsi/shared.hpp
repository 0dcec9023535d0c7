// What all connections of the service use together. Owned by the service, outlives every connection.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/chap_secrets.hpp"
#include "boot/event.hpp"
#include "common/counters.hpp"
#include "config/config.hpp"
#include "services/iscsi/auth_limit.hpp"
#include "services/iscsi/buffer_pool.hpp"
#include "services/iscsi/session_registry.hpp"
#include "services/iscsi/target.hpp"

namespace diskless::iscsi {

struct Counters {
    explicit Counters(CounterRegistry& registry);

    Counter& connections;  ///< gauge
    Counter& sessions;     ///< gauge
    Counter& accepted;
    Counter& logins;
    Counter& refused;
    Counter& auth_failed;
    Counter& auth_blocked;
    Counter& commands;
    Counter& read_bytes;
    Counter& written_bytes;
    Counter& protocol_errors;
};

/// At most one line a second of a kind that a peer can provoke at will.
class LogLimit {
 public:
    [[nodiscard]] bool allow() noexcept {
        const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
        return last_s_.exchange(now, std::memory_order_relaxed) != now;
    }

 private:
    std::atomic<std::int64_t> last_s_{-1};
};

/// AuthLimit for all strands.
class AuthGuard {
 public:
    [[nodiscard]] bool is_blocked(const std::optional<IpAddress>& from, std::string_view target) const {
        const std::lock_guard lock{mutex_};
        return limit_.is_blocked(from, target, AuthLimit::Clock::now());
    }
    void failed(const std::optional<IpAddress>& from, std::string_view target) {
        const std::lock_guard lock{mutex_};
        limit_.failed(from, target, AuthLimit::Clock::now());
    }
    void proven(const std::optional<IpAddress>& from, std::string_view target) {
        const std::lock_guard lock{mutex_};
        limit_.proven(from, target);
    }

 private:
    mutable std::mutex mutex_;
    AuthLimit limit_;
};

struct Shared {
    const config::Iscsi config;
    Limits limits;
    boot::CurrentCatalog& catalog;
    boot::AddressBook& addresses;
    boot::CurrentSecrets& secrets;
    boot::BootObserver& observer;
    CounterRegistry& registry;
    Counters counters;
    TargetRegistry targets;
    SessionRegistry sessions;
    BufferPool buffers;
    std::atomic<std::uint64_t> next_nexus{1};
    AuthGuard auth;
    LogLimit refusals;
    LogLimit auth_failures;
    LogLimit failures;
};

}  // namespace diskless::iscsi
