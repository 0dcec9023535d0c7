#include "services/dhcp/lease_table.hpp"

#include <algorithm>

namespace diskless::dhcp {
namespace {

/// Addresses that have run out but cannot be used (wrong subnet, unavailable) and are passed over in one search. Keeps the worst packet
/// cheap.
constexpr int max_search = 64;

}  // namespace

LeaseTable::LeaseTable(std::vector<std::vector<Ipv4Range>> pools, std::size_t max_leases) : max_leases_{max_leases} {
    for (auto& ranges : pools) pools_.push_back({.ranges = std::move(ranges)});
}

void LeaseTable::load(const std::vector<Lease>& leases) {
    for (const Lease& lease : leases) put(lease, false);
}

const Lease* LeaseTable::find(Ipv4Address address) const {
    const auto found = entries_.find(address);
    return found == entries_.end() ? nullptr : &found->second.lease;
}

const Lease* LeaseTable::of(const MacAddress& mac) const {
    const auto found = by_mac_.find(mac);
    return found == by_mac_.end() ? nullptr : find(found->second);
}

bool LeaseTable::in_pool(std::size_t subnet, Ipv4Address address) const {
    return subnet < pools_.size() &&
           std::ranges::any_of(pools_[subnet].ranges, [address](const Ipv4Range& r) { return r.contains(address); });
}

bool LeaseTable::is_free(Ipv4Address address, const MacAddress& mac, Seconds now) const {
    const Lease* lease = find(address);
    if (lease == nullptr || lease->expires <= now) return true;
    return lease->state == LeaseState::released || (lease->mac == mac && lease->state != LeaseState::declined);
}

std::optional<Ipv4Address> LeaseTable::offer(const MacAddress& mac, std::size_t subnet, std::optional<Ipv4Address> wanted, Seconds now,
                                             Seconds until, const Unavailable& unavailable) {
    const auto usable = [&](Ipv4Address address) {
        return in_pool(subnet, address) && is_free(address, mac, now) && !unavailable(address);
    };
    std::optional<Ipv4Address> address;
    if (const Lease* own = of(mac); own != nullptr && own->state != LeaseState::declined && usable(own->address)) address = own->address;
    if (!address && wanted && usable(*wanted)) address = wanted;
    if (!address && entries_.size() < max_leases_) address = never_used(subnet, unavailable);
    if (!address) address = run_out(subnet, now, unavailable);
    if (address) hold(*address, mac, until);
    return address;
}

std::optional<Ipv4Address> LeaseTable::never_used(std::size_t subnet, const Unavailable& unavailable) {
    if (subnet >= pools_.size()) return std::nullopt;
    Pool& pool = pools_[subnet];
    while (pool.range < pool.ranges.size()) {
        const Ipv4Range& range = pool.ranges[pool.range];
        if (pool.used >= range.size()) {
            ++pool.range;
            pool.used = 0;
            continue;
        }
        const Ipv4Address address{static_cast<std::uint32_t>(range.first.value + pool.used++)};
        if (!entries_.contains(address) && !unavailable(address)) return address;
    }
    return std::nullopt;
}

std::optional<Ipv4Address> LeaseTable::run_out(std::size_t subnet, Seconds now, const Unavailable& unavailable) {
    int passed = 0;
    for (const auto& [expires, address] : by_expiry_) {
        if (expires > now || ++passed > max_search) break;
        if (in_pool(subnet, address) && !unavailable(address)) return address;
    }
    return std::nullopt;
}

void LeaseTable::hold(Ipv4Address address, const MacAddress& mac, Seconds until) {
    const auto found = entries_.find(address);
    if (found != entries_.end() && found->second.lease.mac == mac && found->second.lease.state == LeaseState::bound) {
        if (found->second.lease.expires < until) set_expiry(found->second, until);
        return;
    }
    put({.address = address, .mac = mac, .expires = until}, true);
}

void LeaseTable::bind(const Lease& lease) { put(lease, false); }

void LeaseTable::withdraw(const MacAddress& mac) {
    const auto found = by_mac_.find(mac);
    if (found == by_mac_.end()) return;
    const auto entry = entries_.find(found->second);
    if (entry != entries_.end() && entry->second.offered) set_expiry(entry->second, Seconds{});
}

std::optional<Lease> LeaseTable::release(Ipv4Address address, const MacAddress& mac, Seconds now) {
    const auto found = entries_.find(address);
    if (found == entries_.end() || found->second.lease.mac != mac || found->second.lease.state != LeaseState::bound) return std::nullopt;
    found->second.lease.state = LeaseState::released;
    set_expiry(found->second, now);
    return found->second.lease;
}

std::optional<Lease> LeaseTable::decline(Ipv4Address address, const MacAddress& mac, Seconds until) {
    const auto found = entries_.find(address);
    if (found == entries_.end() || found->second.lease.mac != mac) return std::nullopt;
    return quarantine(address, until);
}

Lease LeaseTable::quarantine(Ipv4Address address, Seconds until) {
    Lease lease{.address = address, .state = LeaseState::declined, .starts = {}, .expires = until};
    if (const Lease* before = find(address)) {
        lease.mac = before->mac;
        if (const auto own = by_mac_.find(before->mac); own != by_mac_.end() && own->second == address) by_mac_.erase(own);
    }
    put(lease, false);
    return lease;
}

void LeaseTable::put(const Lease& lease, bool offered) {
    Entry& entry = entries_[lease.address];
    if (entry.lease.mac != lease.mac) {
        if (const auto own = by_mac_.find(entry.lease.mac); own != by_mac_.end() && own->second == lease.address) by_mac_.erase(own);
    }
    by_expiry_.erase({entry.lease.expires, lease.address});
    entry = {.lease = lease, .offered = offered};
    by_expiry_.emplace(lease.expires, lease.address);
    if (lease.state != LeaseState::declined) by_mac_.insert_or_assign(lease.mac, lease.address);
}

void LeaseTable::set_expiry(Entry& entry, Seconds expires) {
    by_expiry_.erase({entry.lease.expires, entry.lease.address});
    entry.lease.expires = expires;
    by_expiry_.emplace(expires, entry.lease.address);
}

std::vector<Lease> LeaseTable::all() const {
    std::vector<Lease> leases;
    for (const auto& [address, entry] : entries_) {
        if (!entry.offered) leases.push_back(entry.lease);
    }
    return leases;
}

}  // namespace diskless::dhcp
