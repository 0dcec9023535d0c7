#include "services/dhcp/lease_table.hpp"

#include <algorithm>

namespace diskless::dhcp {

LeaseTable::LeaseTable(std::vector<std::vector<Ipv4Range>> pools, std::size_t max_leases) : max_leases_{max_leases} {
    for (auto& ranges : pools) {
        std::uint64_t size = 0;
        for (const Ipv4Range& range : ranges) size += range.size();
        pools_.push_back({.ranges = std::move(ranges), .size = size});
    }
}

// A machine may have several leases on disk (it moved, its reservation changed): the one that runs longest is the one it has.
void LeaseTable::load(std::vector<Lease> leases) {
    std::ranges::sort(leases, {}, &Lease::expires);
    for (const Lease& lease : leases) {
        Entry& entry = put(lease, false);
        if (lease.state == LeaseState::bound) entry.on_disk_until = lease.expires;
    }
}

const Lease* LeaseTable::find(Ipv4Address address) const {
    const auto found = entries_.find(address);
    return found == entries_.end() ? nullptr : &found->second.lease;
}

const Lease* LeaseTable::of(const MacAddress& mac) const {
    const auto found = by_mac_.find(mac);
    return found == by_mac_.end() ? nullptr : find(found->second);
}

const LeaseTable::Entry* LeaseTable::entry_of(Ipv4Address address, const MacAddress& mac) const {
    const auto found = entries_.find(address);
    return found == entries_.end() || found->second.lease.mac != mac ? nullptr : &found->second;
}

bool LeaseTable::in_pool(std::size_t subnet, Ipv4Address address) const {
    return subnet < pools_.size() &&
           std::ranges::any_of(pools_[subnet].ranges, [address](const Ipv4Range& r) { return r.contains(address); });
}

std::optional<std::size_t> LeaseTable::pool_of(Ipv4Address address) const {
    for (std::size_t i = 0; i < pools_.size(); ++i) {
        if (in_pool(i, address)) return i;
    }
    return std::nullopt;
}

bool LeaseTable::is_free(Ipv4Address address, const MacAddress& mac, Seconds now) const {
    const auto found = entries_.find(address);
    if (found == entries_.end() || found->second.until <= now) return true;
    const Lease& lease = found->second.lease;
    return lease.state != LeaseState::declined && lease.mac == mac;
}

std::optional<Ipv4Address> LeaseTable::offer(const MacAddress& mac, std::size_t subnet, std::optional<Ipv4Address> wanted, Seconds now,
                                             Seconds until, const Unavailable& unavailable, std::size_t reserve) {
    if (subnet >= pools_.size()) return std::nullopt;
    const auto usable = [&](Ipv4Address address) {
        return in_pool(subnet, address) && is_free(address, mac, now) && !unavailable(address);
    };
    std::optional<Ipv4Address> address;
    if (const Lease* own = of(mac); own != nullptr && usable(own->address)) address = own->address;
    const bool room = entries_.size() + reserve < max_leases_ && never_used(subnet) > reserve;
    if (!address && wanted && (room || entries_.contains(*wanted)) && usable(*wanted)) address = wanted;
    if (!address && room) address = find_never_used(subnet, unavailable);
    if (!address) address = run_out(subnet, now, unavailable);
    if (address) hold(*address, mac, until);
    return address;
}

std::optional<Ipv4Address> LeaseTable::find_never_used(std::size_t subnet, const Unavailable& unavailable) {
    Pool& pool = pools_[subnet];
    if (pool.entries >= pool.size) return std::nullopt;
    const std::uint64_t search = std::min<std::uint64_t>(max_search, pool.size);
    for (std::uint64_t looked_at = 0; looked_at < search; ++looked_at) {
        const Ipv4Range& range = pool.ranges[pool.range];
        const Ipv4Address address{static_cast<std::uint32_t>(range.first.value + pool.offset)};
        if (++pool.offset == range.size()) {
            pool.range = (pool.range + 1) % pool.ranges.size();
            pool.offset = 0;
        }
        if (!entries_.contains(address) && !unavailable(address)) return address;
    }
    return std::nullopt;
}

std::optional<Ipv4Address> LeaseTable::run_out(std::size_t subnet, Seconds now, const Unavailable& unavailable) {
    Pool& pool = pools_[subnet];
    for (int looked_at = 0; looked_at < max_search && !pool.by_expiry.empty(); ++looked_at) {
        const auto [until, address] = *pool.by_expiry.begin();
        if (until > now) break;
        if (!unavailable(address)) return address;
        set_until(entries_.at(address), now + passed_over_time);  // or the same few would stand in front of the usable ones for ever
    }
    return std::nullopt;
}

void LeaseTable::hold(Ipv4Address address, const MacAddress& mac, Seconds until) {
    const auto found = entries_.find(address);
    if (found != entries_.end() && found->second.lease.mac == mac && found->second.lease.state != LeaseState::declined) {
        if (found->second.until < until) set_until(found->second, until);
        by_mac_.insert_or_assign(mac, address);
        return;
    }
    put({.address = address, .mac = mac, .expires = until}, true);
}

void LeaseTable::bind(const Lease& lease) {
    const Entry* before = entry_of(lease.address, lease.mac);
    const Seconds on_disk_until = before != nullptr ? before->on_disk_until : Seconds{};
    put(lease, false).on_disk_until = on_disk_until;
}

void LeaseTable::withdraw(const MacAddress& mac) {
    const auto found = by_mac_.find(mac);
    if (found == by_mac_.end()) return;
    const auto entry = entries_.find(found->second);
    if (entry != entries_.end() && entry->second.offered) set_until(entry->second, Seconds{});
}

std::optional<Lease> LeaseTable::release(Ipv4Address address, const MacAddress& mac, Seconds now) {
    const auto found = entries_.find(address);
    if (found == entries_.end()) return std::nullopt;
    Entry& entry = found->second;
    if (entry.lease.mac != mac || entry.lease.state != LeaseState::bound || entry.offered) return std::nullopt;
    entry.lease.state = LeaseState::released;
    entry.lease.expires = now;
    entry.on_disk_until = {};
    set_until(entry, now);
    return entry.lease;
}

std::optional<Lease> LeaseTable::decline(Ipv4Address address, const MacAddress& mac, Seconds until) {
    const Entry* entry = entry_of(address, mac);
    if (entry == nullptr || entry->lease.state != LeaseState::bound || entry->offered) return std::nullopt;
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

// A lease that changed while it was being written is not the one that was written.
void LeaseTable::committed(Ipv4Address address, const MacAddress& mac, Seconds expires) {
    const auto found = entries_.find(address);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (entry.lease.mac == mac && entry.lease.state == LeaseState::bound && !entry.offered && entry.lease.expires == expires)
        entry.on_disk_until = expires;
}

bool LeaseTable::is_on_disk(Ipv4Address address, const MacAddress& mac, Seconds until) const {
    const Entry* entry = entry_of(address, mac);
    return entry != nullptr && entry->lease.state == LeaseState::bound && entry->on_disk_until >= until;
}

LeaseTable::Entry& LeaseTable::put(const Lease& lease, bool offered) {
    const auto [found, fresh] = entries_.try_emplace(lease.address);
    Entry& entry = found->second;
    if (fresh) {
        entry.pool = pool_of(lease.address);
        if (entry.pool) {
            ++pools_[*entry.pool].entries;
            pools_[*entry.pool].by_expiry.emplace(entry.until, lease.address);
        }
    } else if (entry.lease.mac != lease.mac) {
        if (const auto own = by_mac_.find(entry.lease.mac); own != by_mac_.end() && own->second == lease.address) by_mac_.erase(own);
    }
    if (entry.pool) {
        if (!fresh && entry.lease.state == LeaseState::declined) --pools_[*entry.pool].declined;
        if (lease.state == LeaseState::declined) ++pools_[*entry.pool].declined;
    }
    entry.lease = lease;
    entry.offered = offered;
    entry.on_disk_until = {};
    set_until(entry, lease.expires);
    if (lease.state != LeaseState::declined) by_mac_.insert_or_assign(lease.mac, lease.address);
    return entry;
}

void LeaseTable::set_until(Entry& entry, Seconds until) {
    if (entry.pool && until != entry.until) {
        auto& by_expiry = pools_[*entry.pool].by_expiry;
        auto node = by_expiry.extract({entry.until, entry.lease.address});
        node.value() = {until, entry.lease.address};
        by_expiry.insert(std::move(node));
    }
    entry.until = until;
}

std::vector<Lease> LeaseTable::all() const {
    std::vector<Lease> leases;
    for (const auto& [address, entry] : entries_) {
        if (!entry.offered) leases.push_back(entry.lease);
    }
    return leases;
}

}  // namespace diskless::dhcp
