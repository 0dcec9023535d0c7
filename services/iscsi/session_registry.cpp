#include "services/iscsi/session_registry.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace diskless::iscsi {
namespace {

// RFC 7143 6.3.5: the I_T nexus is initiator name, ISID and target portal group; we have one group per target.
bool is_same_nexus(const LoginIdentity& a, const LoginIdentity& b) noexcept {
    return a.type == b.type && a.isid == b.isid && a.target_name == b.target_name && a.initiator_name == b.initiator_name;
}

}  // namespace

std::string print_isid(const wire::Isid& isid) {
    std::string text;
    for (const std::byte octet : isid.octets) text += fmt::format("{:02x}", std::to_integer<unsigned>(octet));
    return text;
}

std::uint16_t SessionRegistry::free_tsih() {
    // At most 65535 sessions, so there is a free one.
    do {
        ++last_tsih_;
    } while (last_tsih_ == 0 || std::ranges::find(entries_, last_tsih_, &Entry::tsih) != entries_.end());
    return last_tsih_;
}

SessionRegistry::Claim SessionRegistry::claim(Entry entry) {
    const std::lock_guard lock{mutex_};
    Claim claim;
    std::size_t leaving = 0;
    for (const Entry& other : entries_) {
        auto connection = other.connection.lock();
        if (is_same_nexus(other.identity, entry.identity)) {
            ++leaving;
            if (connection) claim.reinstated = std::move(connection);
        } else if (connection && other.identity.initiator_name == entry.identity.initiator_name &&
                   other.identity.target_name == entry.identity.target_name) {
            claim.siblings.push_back(std::move(connection));
        }
    }
    if (entries_.size() - leaving >= std::min<std::size_t>(max_sessions_, 65535)) return {};
    claim.tsih = entry.tsih = free_tsih();
    entries_.push_back(std::move(entry));
    return claim;
}

void SessionRegistry::remove(std::uint16_t tsih) {
    const std::lock_guard lock{mutex_};
    std::erase_if(entries_, [&](const Entry& entry) { return entry.tsih == tsih; });
}

bool SessionRegistry::exists(const LoginIdentity& identity) const {
    const std::lock_guard lock{mutex_};
    return std::ranges::any_of(entries_,
                               [&](const Entry& entry) { return entry.tsih == identity.tsih && is_same_nexus(entry.identity, identity); });
}

std::vector<std::shared_ptr<Connection>> SessionRegistry::others(const std::string& target, std::uint16_t tsih) const {
    const std::lock_guard lock{mutex_};
    std::vector<std::shared_ptr<Connection>> found;
    for (const Entry& entry : entries_) {
        if (entry.tsih == tsih || entry.identity.target_name != target || entry.identity.type != SessionType::normal) continue;
        if (auto connection = entry.connection.lock()) found.push_back(std::move(connection));
    }
    return found;
}

std::vector<SessionInfo> SessionRegistry::list() const {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock{mutex_};
    std::vector<SessionInfo> sessions;
    for (const Entry& entry : entries_) {
        const SessionStatistics& counts = *entry.statistics;
        sessions.push_back({.initiator = entry.identity.initiator_name,
                            .target = entry.identity.target_name,
                            .address = entry.address,
                            .isid = print_isid(entry.identity.isid),
                            .tsih = entry.tsih,
                            .age = std::chrono::duration_cast<std::chrono::seconds>(now - entry.since),
                            .parameters = entry.parameters,
                            .queue_depth = counts.queue_depth.value(),
                            .commands = counts.commands.value(),
                            .read_bytes = counts.read_bytes.value(),
                            .written_bytes = counts.written_bytes.value(),
                            .r2ts = counts.r2ts.value(),
                            .aborts = counts.aborts.value(),
                            .check_conditions = counts.check_conditions.value()});
    }
    return sessions;
}

std::size_t SessionRegistry::size() const {
    const std::lock_guard lock{mutex_};
    return entries_.size();
}

}  // namespace diskless::iscsi
