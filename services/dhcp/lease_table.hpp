// LeaseTable: which address belongs to which MAC, in memory. Pure: time comes in as an argument. Every operation is O(log n) at most, or
// bounded by a named limit. Holds offers too; only bound, released and declined leases are worth keeping on disk.
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
    void load(std::vector<Lease> leases);

    /// The lease or running offer at an address; nullptr: none. Valid until the next change.
    [[nodiscard]] const Lease* find(Ipv4Address address) const;
    [[nodiscard]] const Lease* of(const MacAddress& mac) const;
    /// Whether the machine may use the address as far as the table knows: nobody else has it now.
    [[nodiscard]] bool is_free(Ipv4Address address, const MacAddress& mac, Seconds now) const;

    /// An address of the subnet's pools for this machine: the one it has or had, else `wanted` if that is free, else one never used, else
    /// the one free for longest. Holds it for the machine until `until`. Nothing: the pools are used up, but for `reserve` addresses that
    /// are kept for others.
    [[nodiscard]] std::optional<Ipv4Address> offer(const MacAddress& mac, std::size_t subnet, std::optional<Ipv4Address> wanted,
                                                   Seconds now, Seconds until, const Unavailable& unavailable, std::size_t reserve = 0);
    /// Addresses of the subnet's pools that nobody ever had, as far as the table knows.
    [[nodiscard]] std::uint64_t never_used(std::size_t subnet) const {
        return subnet < pools_.size() ? pools_[subnet].size - pools_[subnet].entries : 0;
    }
    /// Holds a given address (a reservation) the same way.
    void hold(Ipv4Address address, const MacAddress& mac, Seconds until);
    void bind(const Lease& lease);
    /// The machine does not take our offer.
    void withdraw(const MacAddress& mac);
    /// The lease as it is now to be stored, or nothing when the address is not this machine's.
    std::optional<Lease> release(Ipv4Address address, const MacAddress& mac, Seconds now);
    std::optional<Lease> decline(Ipv4Address address, const MacAddress& mac, Seconds until);
    /// Addresses of the subnet's pools in quarantine, some of them perhaps no longer.
    [[nodiscard]] std::uint64_t declined(std::size_t subnet) const { return subnet < pools_.size() ? pools_[subnet].declined : 0; }
    [[nodiscard]] std::uint64_t pool_size(std::size_t subnet) const { return subnet < pools_.size() ? pools_[subnet].size : 0; }
    /// Somebody answers at this address: nobody gets it until then.
    Lease quarantine(Ipv4Address address, Seconds until);

    /// The store has it. Until then nothing of a lease may be promised.
    void committed(Ipv4Address address, const MacAddress& mac, Seconds expires);
    /// Whether the store already holds a lease of this address for this machine that runs at least until then.
    [[nodiscard]] bool is_on_disk(Ipv4Address address, const MacAddress& mac, Seconds until) const;

    [[nodiscard]] bool in_pool(std::size_t subnet, Ipv4Address address) const;
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::vector<Lease> all() const;

    /// Addresses looked at for one packet before it is left unanswered; the search goes on where it stopped when the client asks again.
    static constexpr int max_search = 1024;
    /// An expired address that cannot be used just now (reserved, alive) is looked at again after this.
    static constexpr std::chrono::seconds passed_over_time{60};

 private:
    struct Entry {
        Lease lease;
        Seconds until{};          // taken until then: the lease, or an offer that runs longer
        Seconds on_disk_until{};  // how far the store can vouch for the lease
        std::optional<std::size_t> pool;
        bool offered = false;  // held, never bound: not a lease
    };
    struct Pool {
        std::vector<Ipv4Range> ranges;
        std::uint64_t size = 0;
        std::uint64_t entries = 0;   // addresses the table knows something of
        std::uint64_t declined = 0;  // of these, in quarantine
        std::size_t range = 0;       // the search for an unknown address goes on at ranges[range].first + offset
        std::uint64_t offset = 0;
        std::set<std::pair<Seconds, Ipv4Address>> by_expiry;  // its known addresses by Entry::until
    };

    [[nodiscard]] const Entry* entry_of(Ipv4Address address, const MacAddress& mac) const;
    [[nodiscard]] std::optional<std::size_t> pool_of(Ipv4Address address) const;
    [[nodiscard]] std::optional<Ipv4Address> find_never_used(std::size_t subnet, const Unavailable& unavailable);
    [[nodiscard]] std::optional<Ipv4Address> run_out(std::size_t subnet, Seconds now, const Unavailable& unavailable);
    Entry& put(const Lease& lease, bool offered);
    void set_until(Entry& entry, Seconds until);

    std::vector<Pool> pools_;
    std::size_t max_leases_;
    std::unordered_map<Ipv4Address, Entry> entries_;
    std::unordered_map<MacAddress, Ipv4Address> by_mac_;
};

}  // namespace diskless::dhcp
