// AuthLimit: who has failed to prove itself too often waits (RFC 7143 9.2.1 leaves guessing to the target). Pure: time comes in.
//
// Counted for an address at a target, and for an address at all targets together: whoever guesses from elsewhere never keeps a machine
// from its own disk. Secrets of 96 bits outlast any number of addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/network.hpp"

namespace diskless::iscsi {

class AuthLimit {
 public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    /// Failures within `window` of the first one.
    static constexpr unsigned max_at_target = 10;
    static constexpr unsigned max_of_address = 40;
    static constexpr std::chrono::seconds window{60};
    /// Entries at a time; beyond it the one that began longest ago is forgotten: about 1 MiB.
    static constexpr std::size_t max_entries = 8192;

    /// `from` nothing: nobody knows. `target` empty: discovery.
    [[nodiscard]] bool is_blocked(const std::optional<IpAddress>& from, std::string_view target, Time now) const;
    void failed(const std::optional<IpAddress>& from, std::string_view target, Time now);
    /// The address has proven itself at this target: what it got wrong there before was a mistake.
    void proven(const std::optional<IpAddress>& from, std::string_view target);
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
    using Key = std::pair<std::optional<IpAddress>, std::string>;  // target "*": all of them
    struct Entry {
        Time since;
        unsigned failures = 0;
    };
    [[nodiscard]] static Key key_of(const std::optional<IpAddress>& from, std::string_view target);
    [[nodiscard]] bool reached(const Key& key, unsigned most, Time now) const;
    void count(const Key& key, Time now);
    void make_room(Time now);

    std::map<Key, Entry> entries_;
};

}  // namespace diskless::iscsi
