// AddressBook: which MAC uses which address right now, as DHCP has promised. Written by DHCP, read by whoever sees only an IP address
// (TFTP, HTTP, iSCSI). Any thread.
#pragma once

#include <mutex>
#include <optional>
#include <unordered_map>

#include "boot/catalog.hpp"
#include "common/network.hpp"

namespace diskless::boot {

class AddressBook {
 public:
    void bind(const IpAddress& address, MacAddress mac);
    void release(const IpAddress& address);
    /// Of an IPv6 address that was made of a MAC, that MAC, promised or not.
    [[nodiscard]] std::optional<MacAddress> mac_of(const IpAddress& address) const;
    [[nodiscard]] std::optional<Ipv4Address> address_of(MacAddress mac) const;

 private:
    using Addresses = std::unordered_map<MacAddress, IpAddress>;
    [[nodiscard]] Addresses& addresses_like(const IpAddress& address) { return address.v4() ? addresses_ : addresses6_; }

    mutable std::mutex mutex_;
    std::unordered_map<IpAddress, MacAddress> macs_;
    Addresses addresses_, addresses6_;  // a machine has one of each
};

/// Who sits at `address`: by its reservation, else by its lease. nullptr: nobody we know.
[[nodiscard]] const Client* client_at(const Catalog& catalog, const AddressBook& addresses, const IpAddress& address);

}  // namespace diskless::boot
