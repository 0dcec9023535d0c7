#include "services/iscsi/session_registry.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace diskless::iscsi {
namespace {

// RFC 7143 6.3.5: the I_T nexus is initiator name, ISID and target portal group; we have one group per target.
bool is_same_nexus(const LoginIdentity& a, const LoginIdentity& b) noexcept {
    return a.type == b.type && a.isid == b.isid && a.target_name == b.target_name && a.initiator_name == b.initiator_name;
}

std::vector<std::pair<std::string, std::string>> keys_of(const Parameters& agreed) {
    const auto yes_or_no = [](bool yes) { return std::string{yes ? "Yes" : "No"}; };
    const auto digest = [](bool on) { return std::string{on ? "CRC32C" : "None"}; };
    return {{"HeaderDigest", digest(agreed.digests.header)},
            {"DataDigest", digest(agreed.digests.data)},
            {"MaxRecvDataSegmentLength", std::to_string(agreed.initiator_max_recv_data_segment_length)},
            {"MaxBurstLength", std::to_string(agreed.max_burst_length)},
            {"FirstBurstLength", std::to_string(agreed.first_burst_length)},
            {"MaxOutstandingR2T", std::to_string(agreed.max_outstanding_r2t)},
            {"InitialR2T", yes_or_no(agreed.initial_r2t)},
            {"ImmediateData", yes_or_no(agreed.immediate_data)}};
}

std::vector<std::pair<std::uint32_t, std::uint64_t>> steps_of(const LatencyHistogram& latency) {
    std::vector<std::pair<std::uint32_t, std::uint64_t>> steps;
    for (std::size_t i = 0; i < LatencyHistogram::steps; ++i)
        steps.emplace_back(i < LatencyHistogram::limits_us.size() ? LatencyHistogram::limits_us[i] : 0, latency.count(i));
    return steps;
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

std::vector<boot::SessionInfo> SessionRegistry::list() const {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock{mutex_};
    std::vector<boot::SessionInfo> sessions;
    for (const Entry& entry : entries_) {
        const SessionStatistics& counts = *entry.statistics;
        sessions.push_back({.initiator = entry.identity.initiator_name,
                            .target = entry.identity.target_name,
                            .address = entry.address,
                            .isid = print_isid(entry.identity.isid),
                            .tsih = entry.tsih,
                            .age = std::chrono::duration_cast<std::chrono::seconds>(now - entry.since),
                            .negotiated = keys_of(entry.parameters),
                            .queue_depth = counts.queue_depth.value(),
                            .commands = counts.commands.value(),
                            .read_bytes = counts.read_bytes.value(),
                            .written_bytes = counts.written_bytes.value(),
                            .errors = counts.errors.value(),
                            .r2ts = counts.r2ts.value(),
                            .aborts = counts.aborts.value(),
                            .latency_us = steps_of(counts.latency)});
    }
    return sessions;
}

std::shared_ptr<Connection> SessionRegistry::find(std::uint16_t tsih) const {
    const std::lock_guard lock{mutex_};
    const auto found = std::ranges::find(entries_, tsih, &Entry::tsih);
    return found == entries_.end() ? nullptr : found->connection.lock();
}

std::size_t SessionRegistry::size() const {
    const std::lock_guard lock{mutex_};
    return entries_.size();
}

}  // namespace diskless::iscsi
