// LeaseTable: which address belongs to which MAC, in memory. Pure: time comes in as an argument. Every operation is O(log n) at most.
// Holds offers too; only bound, released and declined leases are worth keeping on disk.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "boot/lease.hpp"

namespace diskless::dhcp {

using boot::Lease;
using boot::LeaseState;
using boot::Seconds;

class LeaseTable {
 public:
    /// Pools by subnet index; `max_leases` bounds the memory: beyond it only addresses whose lease has run out are handed out again.
    LeaseTable(std::vector<std::vector<Ipv4Range>> pools, std::size_t max_leases);

    /// Addresses that must not be handed out although the table knows nothing of them: reservations, hosts seen alive.
    using Unavailable = std::function<bool(Ipv4Address)>;

    /// From the store, at start.
    void load(const std::vector<Lease>& leases);

    /// The lease or running offer at an address; nullptr: none. Valid until the next change.
    [[nodiscard]] const Lease* find(Ipv4Address address) const;
    [[nodiscard]] const Lease* of(const MacAddress& mac) const;

    /// An address of the subnet's pools for this machine: the one it has or had, else `wanted` if that is free, else one never used, else
    /// the one free for longest. Holds it for the machine until `until`. Nothing: the pools are used up.
    [[nodiscard]] std::optional<Ipv4Address> offer(const MacAddress& mac, std::size_t subnet, std::optional<Ipv4Address> wanted,
                                                   Seconds now, Seconds until, const Unavailable& unavailable);
    /// Holds a given address (a reservation) the same way.
    void hold(Ipv4Address address, const MacAddress& mac, Seconds until);
    void bind(const Lease& lease);
    /// The machine does not take our offer.
    void withdraw(const MacAddress& mac);
    /// The lease as it is now to be stored, or nothing when the address is not this machine's.
    std::optional<Lease> release(Ipv4Address address, const MacAddress& mac, Seconds now);
    std::optional<Lease> decline(Ipv4Address address, const MacAddress& mac, Seconds until);
    /// Somebody answers at this address: nobody gets it until then.
    Lease quarantine(Ipv4Address address, Seconds until);

    [[nodiscard]] bool in_pool(std::size_t subnet, Ipv4Address address) const;
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::vector<Lease> all() const;

 private:
    struct Entry {
        Lease lease;
        bool offered = false;  // held, never bound: not a lease
    };
    struct Pool {
        std::vector<Ipv4Range> ranges;
        std::size_t range = 0;  // the first address never handed out is ranges[range].first + used
        std::uint64_t used = 0;
    };

    [[nodiscard]] bool is_free(Ipv4Address address, const MacAddress& mac, Seconds now) const;
    [[nodiscard]] std::optional<Ipv4Address> never_used(std::size_t subnet, const Unavailable& unavailable);
    [[nodiscard]] std::optional<Ipv4Address> run_out(std::size_t subnet, Seconds now, const Unavailable& unavailable);
    void put(const Lease& lease, bool offered);
    void set_expiry(Entry& entry, Seconds expires);

    std::vector<Pool> pools_;
    std::size_t max_leases_;
    std::unordered_map<Ipv4Address, Entry> entries_;
    std::unordered_map<MacAddress, Ipv4Address> by_mac_;
    std::set<std::pair<Seconds, Ipv4Address>> by_expiry_;
};

}  // namespace diskless::dhcp
