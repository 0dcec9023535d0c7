#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "config/checks.hpp"

namespace diskless::config {
namespace {

struct PlacedRange {
    Ipv4Range range;
    Place where;
};

bool has_network_address(const Ipv4Network& network) noexcept { return network.prefix_length <= 30; }  // RFC 3021

void check_router(const Declaration& declaration, const Subnet& subnet, const SubnetPlaces& places) {
    if (!subnet.router) return;
    const Ipv4Address router = *subnet.router;
    if (!subnet.network.contains(router)) {
        declaration.findings.add(places.router, fmt::format("router {} is outside its subnet {}", router, subnet.network),
                                 "write the router's address on this network");
    } else if (has_network_address(subnet.network) && (router == subnet.network.address || router == subnet.network.broadcast())) {
        declaration.findings.add(places.router,
                                 fmt::format("router {} is the {} address of {}", router,
                                             router == subnet.network.address ? "network" : "broadcast", subnet.network),
                                 "write the router's own address");
    }
}

void check_pool(const Declaration& declaration, const Subnet& subnet, Ipv4Range range, Place where) {
    if (!subnet.network.contains(range.first) || !subnet.network.contains(range.last)) {
        declaration.findings.add(where, fmt::format("pool {} is outside its subnet {}", range, subnet.network),
                                 fmt::format("keep it between {} and {}", Ipv4Address{subnet.network.address.value + 1},
                                             Ipv4Address{subnet.network.broadcast().value - 1}));
        return;
    }
    const auto must_not_hold = [&](Ipv4Address address, std::string_view what) {
        if (range.contains(address))
            declaration.findings.add(where, fmt::format("pool {} holds {} address {}", range, what, address),
                                     "leave that address out of the pool");
    };
    if (has_network_address(subnet.network)) {
        must_not_hold(subnet.network.address, "the network");
        must_not_hold(subnet.network.broadcast(), "the broadcast");
    }
    const auto& server = declaration.config.server.address;
    if (server) must_not_hold(*server, "the server's own");
    if (subnet.router && subnet.router != server) must_not_hold(*subnet.router, "the router's");
}

/// In the order of their first addresses, a range that overlaps any other overlaps the one before it that reaches furthest.
void check_overlaps(const Declaration& declaration, std::vector<PlacedRange> ranges, std::string_view what) {
    std::ranges::sort(ranges, {}, [](const PlacedRange& placed) { return std::pair{placed.range, placed.where}; });
    const PlacedRange* furthest = nullptr;
    for (const PlacedRange& placed : ranges) {
        if (furthest != nullptr && placed.range.overlaps(furthest->range)) {
            const auto [earlier, later] = std::minmax(*furthest, placed, [](const auto& a, const auto& b) { return a.where < b.where; });
            declaration.findings.add(
                later.where,
                fmt::format("{} {} overlaps {} at {}", what, later.range, earlier.range, declaration.findings.at(earlier.where)),
                "let every address be in one of them only");
        }
        if (furthest == nullptr || placed.range.last > furthest->range.last) furthest = &placed;
    }
}

}  // namespace

void check_subnets(const Declaration& declaration) {
    std::vector<PlacedRange> networks;
    std::vector<PlacedRange> pools;
    for (std::size_t i = 0; i < declaration.config.dhcp.subnets.size(); ++i) {
        const Subnet& subnet = declaration.config.dhcp.subnets[i];
        const SubnetPlaces& places = declaration.places.subnets[i];
        networks.push_back({{subnet.network.address, subnet.network.broadcast()}, places.network});
        check_router(declaration, subnet, places);
        for (std::size_t j = 0; j < subnet.pool.size(); ++j) {
            check_pool(declaration, subnet, subnet.pool[j], places.pool[j]);
            pools.push_back({subnet.pool[j], places.pool[j]});
        }
    }
    const auto& subnets6 = declaration.config.dhcp.subnets6;
    for (std::size_t i = 0; i < subnets6.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (!subnets6[i].network.contains(subnets6[j].network.address) && !subnets6[j].network.contains(subnets6[i].network.address))
                continue;
            declaration.findings.add(declaration.places.subnets6[i],
                                     fmt::format("network {} overlaps {} at {}", subnets6[i].network, subnets6[j].network,
                                                 declaration.findings.at(declaration.places.subnets6[j])),
                                     "let every address be in one of them only");
        }
    }
    check_overlaps(declaration, std::move(networks), "network");
    check_overlaps(declaration, std::move(pools), "pool");
}

}  // namespace diskless::config
