// Which sessions there are: finds the one to reinstate, the neighbours on a target, and tells the list. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "boot/session.hpp"
#include "services/iscsi/login.hpp"
#include "services/iscsi/statistics.hpp"

namespace diskless::iscsi {

class Connection;

[[nodiscard]] std::string print_isid(const wire::Isid& isid);

class SessionRegistry {
 public:
    struct Entry {
        LoginIdentity identity;
        std::string address;
        Parameters parameters;
        std::uint16_t tsih = 0;
        std::chrono::steady_clock::time_point since;
        std::shared_ptr<const SessionStatistics> statistics;
        std::weak_ptr<Connection> connection;
    };

    explicit SessionRegistry(std::uint32_t max_sessions) noexcept : max_sessions_{max_sessions} {}

    struct Claim {
        std::uint16_t tsih = 0;                  ///< zero: no room for another session
        std::shared_ptr<Connection> reinstated;  ///< the session with the same name, ISID and target: drop it before the answer leaves
        std::vector<std::shared_ptr<Connection>> siblings;  ///< other sessions of the same initiator with the same target
    };
    /// Enters a session that is about to begin.
    [[nodiscard]] Claim claim(Entry entry);
    void remove(std::uint16_t tsih);

    /// Whether a session with this TSIH belongs to this initiator and ISID (a login that wants to join it).
    [[nodiscard]] bool exists(const LoginIdentity& identity) const;
    /// The other sessions of a target.
    [[nodiscard]] std::vector<std::shared_ptr<Connection>> others(const std::string& target, std::uint16_t tsih) const;
    [[nodiscard]] std::vector<std::shared_ptr<Connection>> of_target(const std::string& target) const { return others(target, 0); }

    [[nodiscard]] std::vector<boot::SessionInfo> list() const;
    /// nullptr: there is none, or it has just ended.
    [[nodiscard]] std::shared_ptr<Connection> find(std::uint16_t tsih) const;
    [[nodiscard]] std::size_t size() const;

 private:
    [[nodiscard]] std::uint16_t free_tsih();

    const std::uint32_t max_sessions_;
    mutable std::mutex mutex_;
    std::vector<Entry> entries_;
    std::uint16_t last_tsih_ = 0;
};

}  // namespace diskless::iscsi
