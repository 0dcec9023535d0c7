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
    void bind(Ipv4Address address, MacAddress mac);
    void release(Ipv4Address address);
    [[nodiscard]] std::optional<MacAddress> mac_of(Ipv4Address address) const;
    [[nodiscard]] std::optional<Ipv4Address> address_of(MacAddress mac) const;

 private:
    mutable std::mutex mutex_;
    std::unordered_map<Ipv4Address, MacAddress> macs_;
    std::unordered_map<MacAddress, Ipv4Address> addresses_;
};

/// Who sits at `address`: by its reservation, else by its lease. nullptr: nobody we know.
[[nodiscard]] const Client* client_at(const Catalog& catalog, const AddressBook& addresses, Ipv4Address address);

}  // namespace diskless::boot
