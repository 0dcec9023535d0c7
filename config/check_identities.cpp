#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "config/checks.hpp"

namespace diskless::config {
namespace {

/// Says where a value stands that another client has already.
template<class Value>
class Claims {
 public:
    Claims(const Declaration& declaration, std::string_view what) : declaration_{&declaration}, what_{what} {}

    void claim(const Value& value, Place where, std::string_view client) {
        const auto [first, is_new] = claims_.try_emplace(value, Claim{where, client});
        if (is_new) return;
        const Claim& earlier = first->second;
        declaration_->findings.add(where,
                                   fmt::format("{} {} already belongs to client {} at {}", what_, value, in_quotes(earlier.client),
                                               declaration_->findings.at(earlier.where)),
                                   fmt::format("give every client its own {}", what_));
    }

 private:
    struct Claim {
        Place where;
        std::string_view client;
    };
    const Declaration* declaration_;
    std::string_view what_;
    std::map<Value, Claim> claims_;
};

/// A reservation that DHCP can keep: on one of its networks, and nobody else's there.
void check_address(const Declaration& declaration, Ipv4Address address, Place where) {
    const Config& config = declaration.config;
    const auto taken = [&](std::string_view by) {
        declaration.findings.add(where, fmt::format("address {} is {}", address, by), "give the client another address");
    };
    if (address == config.server.address) return taken("the server's own");
    if (config.dhcp.mode != DhcpMode::server) return;
    const auto subnet = std::ranges::find_if(config.dhcp.subnets, [&](const Subnet& s) { return s.network.contains(address); });
    if (subnet == config.dhcp.subnets.end()) {
        declaration.findings.add(where, fmt::format("address {} is in no [[dhcp.subnet]]", address),
                                 "write an address of one of the subnets, or declare its subnet");
        return;
    }
    if (address == subnet->router) return taken("the router's");
    if (subnet->network.prefix_length > 30) return;
    if (address == subnet->network.address) return taken(fmt::format("the network address of {}", subnet->network));
    if (address == subnet->network.broadcast()) return taken(fmt::format("the broadcast address of {}", subnet->network));
}

}  // namespace

void check_identities(const Declaration& declaration) {
    Claims<MacAddress> macs{declaration, "MAC address"};
    Claims<Uuid> uuids{declaration, "UUID"};
    Claims<Ipv4Address> addresses{declaration, "address"};
    for (std::size_t i = 0; i < declaration.config.declared.clients.size(); ++i) {
        const boot::ClientEntry& client = declaration.config.declared.clients[i];
        const ClientPlaces& places = declaration.places.clients[i];
        for (std::size_t j = 0; j < client.macs.size(); ++j) macs.claim(client.macs[j], places.macs[j], client.name);
        if (client.uuid) uuids.claim(*client.uuid, places.uuid, client.name);
        if (!client.address) continue;
        addresses.claim(*client.address, places.address, client.name);
        check_address(declaration, *client.address, places.address);
    }
}

}  // namespace diskless::config
