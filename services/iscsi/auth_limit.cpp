#include "services/iscsi/auth_limit.hpp"

#include <algorithm>

namespace diskless::iscsi {
namespace {

constexpr std::string_view all_targets = "*";  // no iSCSI name

}  // namespace

AuthLimit::Key AuthLimit::key_of(const std::optional<IpAddress>& from, std::string_view target) { return {from, std::string{target}}; }

bool AuthLimit::reached(const Key& key, unsigned most, Time now) const {
    const auto found = entries_.find(key);
    return found != entries_.end() && found->second.failures >= most && now - found->second.since < window;
}

bool AuthLimit::is_blocked(const std::optional<IpAddress>& from, std::string_view target, Time now) const {
    return reached(key_of(from, target), max_at_target, now) || reached(key_of(from, all_targets), max_of_address, now);
}

void AuthLimit::failed(const std::optional<IpAddress>& from, std::string_view target, Time now) {
    count(key_of(from, target), now);
    count(key_of(from, all_targets), now);
}

void AuthLimit::proven(const std::optional<IpAddress>& from, std::string_view target) { entries_.erase(key_of(from, target)); }

void AuthLimit::count(const Key& key, Time now) {
    auto found = entries_.find(key);
    if (found == entries_.end()) {
        if (entries_.size() >= max_entries) make_room(now);
        found = entries_.emplace(key, Entry{.since = now}).first;
    }
    Entry& entry = found->second;
    if (now - entry.since >= window) entry = {.since = now};
    ++entry.failures;
}

// Rarely: the table fills with addresses that are real (a TCP connection each), and one pass then empties all that is over.
void AuthLimit::make_room(Time now) {
    std::erase_if(entries_, [&](const auto& one) { return now - one.second.since >= window; });
    if (entries_.size() < max_entries) return;
    entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& one) { return one.second.since; }));
}

}  // namespace diskless::iscsi
