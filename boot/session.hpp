// A live iSCSI session, as people and the API see it; and whoever has them all.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace diskless::boot {

struct SessionInfo {
    std::string initiator;
    std::string target;   ///< IQN; empty: a discovery session
    std::string address;  ///< "192.168.77.11:49152"
    std::string isid;     ///< twelve hexadecimal digits
    std::uint16_t tsih = 0;
    std::chrono::seconds age{};
    std::vector<std::pair<std::string, std::string>> negotiated;  ///< key and value of RFC 7143 13
    std::uint64_t queue_depth = 0;                                ///< commands under way now
    std::uint64_t commands = 0, read_bytes = 0, written_bytes = 0, errors = 0, r2ts = 0, aborts = 0;
    /// How many commands took at most so many microseconds and more than the step before; the last step has no limit (0).
    std::vector<std::pair<std::uint32_t, std::uint64_t>> latency_us;
};

class SessionList {
 public:
    virtual ~SessionList() = default;
    // Both from any thread.
    [[nodiscard]] virtual std::vector<SessionInfo> sessions() const = 0;
    /// False: there is no such session. Its initiator may log in again.
    virtual bool drop_session(std::uint16_t tsih) = 0;
};

}  // namespace diskless::boot
