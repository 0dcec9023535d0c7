#include "boot/address_book.hpp"

namespace diskless::boot {

void AddressBook::bind(Ipv4Address address, MacAddress mac) {
    const std::lock_guard lock{mutex_};
    if (const auto before = addresses_.find(mac); before != addresses_.end() && before->second != address) macs_.erase(before->second);
    if (const auto holder = macs_.find(address); holder != macs_.end() && holder->second != mac) addresses_.erase(holder->second);
    macs_.insert_or_assign(address, mac);
    addresses_.insert_or_assign(mac, address);
}

void AddressBook::release(Ipv4Address address) {
    const std::lock_guard lock{mutex_};
    if (const auto holder = macs_.find(address); holder != macs_.end()) {
        addresses_.erase(holder->second);
        macs_.erase(holder);
    }
}

std::optional<MacAddress> AddressBook::mac_of(Ipv4Address address) const {
    const std::lock_guard lock{mutex_};
    const auto found = macs_.find(address);
    if (found == macs_.end()) return std::nullopt;
    return found->second;
}

std::optional<Ipv4Address> AddressBook::address_of(MacAddress mac) const {
    const std::lock_guard lock{mutex_};
    const auto found = addresses_.find(mac);
    if (found == addresses_.end()) return std::nullopt;
    return found->second;
}

const Client* client_at(const Catalog& catalog, const AddressBook& addresses, Ipv4Address address) {
    if (const Client* client = catalog.by_address(address)) return client;
    const auto mac = addresses.mac_of(address);
    return mac ? catalog.by_mac(*mac) : nullptr;
}

}  // namespace diskless::boot
