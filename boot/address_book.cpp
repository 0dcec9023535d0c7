#include "boot/address_book.hpp"

namespace diskless::boot {

void AddressBook::bind(const IpAddress& address, MacAddress mac) {
    const std::lock_guard lock{mutex_};
    Addresses& addresses = addresses_like(address);
    if (const auto before = addresses.find(mac); before != addresses.end() && before->second != address) macs_.erase(before->second);
    if (const auto holder = macs_.find(address); holder != macs_.end() && holder->second != mac) addresses.erase(holder->second);
    macs_.insert_or_assign(address, mac);
    addresses.insert_or_assign(mac, address);
}

void AddressBook::release(const IpAddress& address) {
    const std::lock_guard lock{mutex_};
    if (const auto holder = macs_.find(address); holder != macs_.end()) {
        addresses_like(address).erase(holder->second);
        macs_.erase(holder);
    }
}

std::optional<MacAddress> AddressBook::mac_of(const IpAddress& address) const {
    const std::lock_guard lock{mutex_};
    if (const auto found = macs_.find(address); found != macs_.end()) return found->second;
    const auto v6 = address.v6();
    return v6 ? v6->mac() : std::nullopt;
}

std::optional<Ipv4Address> AddressBook::address_of(MacAddress mac) const {
    const std::lock_guard lock{mutex_};
    const auto found = addresses_.find(mac);
    return found != addresses_.end() ? found->second.v4() : std::nullopt;
}

const Client* client_at(const Catalog& catalog, const AddressBook& addresses, const IpAddress& address) {
    if (const auto v4 = address.v4()) {
        if (const Client* client = catalog.by_address(*v4)) return client;
    }
    const auto mac = addresses.mac_of(address);
    return mac ? catalog.by_mac(*mac) : nullptr;
}

}  // namespace diskless::boot
