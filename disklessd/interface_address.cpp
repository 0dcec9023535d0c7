#include "disklessd/interface_address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <bit>
#include <memory>
#include <set>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace diskless {
namespace {

struct Entry {
    std::string interface;
    Ipv4Address address;  // unspecified: the interface has none
    std::uint32_t mask = 0;
    Ipv6Address address6;  // the same
};

std::vector<Entry> interfaces() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) throw std::system_error{errno, std::generic_category(), "getifaddrs"};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{list, ::freeifaddrs};
    std::vector<Entry> entries;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        Entry entry{.interface = at->ifa_name};
        if (at->ifa_addr != nullptr && at->ifa_addr->sa_family == AF_INET) {
            entry.address.value = ntohl(reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr.s_addr);
        }
        if (at->ifa_addr != nullptr && at->ifa_addr->sa_family == AF_INET6) {
            const auto* address6 = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr);
            entry.address6 = Ipv6Address::from(std::as_bytes(std::span{address6->sin6_addr.s6_addr}));
        }
        if (!entry.address.is_unspecified() && at->ifa_netmask != nullptr)
            entry.mask = ntohl(reinterpret_cast<const sockaddr_in*>(at->ifa_netmask)->sin_addr.s_addr);
        entries.push_back(std::move(entry));
    }
    return entries;
}

}  // namespace

Ipv4Address address_of_interface(const std::string& interface) {
    bool exists = false;
    std::set<std::string> names;
    for (const Entry& entry : interfaces()) {
        names.insert(entry.interface);
        if (entry.interface != interface) continue;
        exists = true;
        if (!entry.address.is_unspecified()) return entry.address;
    }
    if (exists) {
        throw std::runtime_error{fmt::format(
            "interface {0} has no IPv4 address; give it one (ip address add 192.168.77.1/24 dev {0}) or set [server] address", interface)};
    }
    throw std::runtime_error{
        fmt::format("there is no interface {}; set [server] interface to one of: {}", interface, fmt::join(names, ", "))};
}

std::vector<Ipv6Address> addresses6_of(const std::string& interface) {
    std::vector<Ipv6Address> addresses;
    for (const Entry& entry : interfaces()) {
        if (entry.interface == interface && !entry.address6.is_unspecified() && !entry.address6.is_link_local())
            addresses.push_back(entry.address6);
    }
    return addresses;
}

std::string interface_with_address(Ipv4Address address) {
    for (const Entry& entry : interfaces()) {
        if (entry.address == address) return entry.interface;
    }
    return {};
}

std::vector<Ipv4Network> links_of(const std::string& interface) {
    std::vector<Ipv4Network> links;
    for (const Entry& entry : interfaces()) {
        if (entry.interface == interface && !entry.address.is_unspecified())
            links.push_back({{entry.address.value & entry.mask}, static_cast<std::uint8_t>(std::popcount(entry.mask))});
    }
    return links;
}

}  // namespace diskless
