// kea-dhcp4.conf: JSON with comments. subnet4 (also in shared-networks), pools, option-data, reservations.
#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "cli/importers/foreign.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;

/// Comments that begin with '#' become spaces; the JSON reader knows the others.
std::string without_hash_comments(std::string_view text) {
    std::string out{text};
    bool quoted = false;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (out[i] == '"' && (i == 0 || out[i - 1] != '\\')) quoted = !quoted;
        if (out[i] != '#' || quoted) continue;
        while (i < out.size() && out[i] != '\n') out[i++] = ' ';
    }
    return out;
}

std::string_view text_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string_view{value->get_string()} : std::string_view{};
}

/// The objects of a list; none, where there is no such list.
std::vector<const json::object*> objects_at(const json::object& object, std::string_view key) {
    std::vector<const json::object*> objects;
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_array()) return objects;
    for (const json::value& element : value->get_array()) {
        if (element.is_object()) objects.push_back(&element.get_object());
    }
    return objects;
}

std::optional<std::chrono::seconds> lifetime(const json::object& object) {
    const json::value* value = object.if_contains("valid-lifetime");
    boost::system::error_code error;
    const auto count = value != nullptr ? value->to_number<std::int64_t>(error) : 0;
    return !error && count > 0 ? std::optional{std::chrono::seconds{count}} : std::nullopt;
}

class Reader {
 public:
    ForeignNetwork read(std::string_view text) {
        boost::system::error_code error;
        json::parse_options options;
        options.allow_comments = options.allow_trailing_commas = true;
        const json::value whole = json::parse(without_hash_comments(text), error, {}, options);
        const json::value* server = !error && whole.is_object() ? whole.get_object().if_contains("Dhcp4") : nullptr;
        if (server == nullptr || !server->is_object()) {
            network_.notes.push_back(error ? fmt::format("it is no JSON that Kea reads: {}", error.message()) : "it has no \"Dhcp4\"");
            return std::move(network_);
        }
        const json::object& dhcp4 = server->get_object();
        common_ = ForeignSubnet{.lease_time = lifetime(dhcp4)};
        add_options(dhcp4, common_);
        add_hosts(dhcp4);
        add_subnets(dhcp4);
        for (const json::object* shared : objects_at(dhcp4, "shared-networks")) add_subnets(*shared);
        if (dhcp4.contains("client-classes")) network_.notes.emplace_back("client-classes are not taken over");
        return std::move(network_);
    }

 private:
    void add_subnets(const json::object& holder) {
        for (const json::object* found : objects_at(holder, "subnet4")) {
            const auto network = Ipv4Network::parse(text_at(*found, "subnet"));
            if (!network) {
                network_.notes.push_back(fmt::format("subnet '{}' cannot be read and is left out", text_at(*found, "subnet")));
                continue;
            }
            ForeignSubnet subnet = common_;
            subnet.network = *network;
            if (const auto time = lifetime(*found)) subnet.lease_time = time;
            add_options(*found, subnet);
            if (subnet.router && !network->contains(*subnet.router)) subnet.router.reset();
            for (const json::object* pool : objects_at(*found, "pools")) add_pool(text_at(*pool, "pool"), subnet);
            add_hosts(*found);
            network_.subnets.push_back(std::move(subnet));
        }
    }

    /// "192.0.2.10 - 192.0.2.20", or a network.
    void add_pool(std::string_view text, ForeignSubnet& subnet) {
        if (const auto network = Ipv4Network::parse(trimmed(text))) {
            subnet.pools.push_back({network->address, network->broadcast()});
            return;
        }
        const auto ends = split(text, '-');
        const auto first = Ipv4Address::parse(ends.front()), last = Ipv4Address::parse(ends.back());
        if (!first || !last || first->value > last->value) {
            network_.notes.push_back(fmt::format("pool '{}' cannot be read and is left out", text));
            return;
        }
        subnet.pools.push_back({*first, *last});
    }

    void add_options(const json::object& holder, ForeignSubnet& subnet) {
        for (const json::object* option : objects_at(holder, "option-data")) {
            const std::string_view name = text_at(*option, "name"), data = text_at(*option, "data");
            std::vector<Ipv4Address> addresses;
            for (const std::string_view word : split(data, ',')) {
                if (const auto address = Ipv4Address::parse(word)) addresses.push_back(*address);
            }
            if (name == "routers") {
                if (!addresses.empty()) subnet.router = addresses.front();
            } else if (name == "domain-name-servers") {
                subnet.dns = addresses;
            } else if (name == "domain-name") {
                subnet.domain = lower(data);
            } else {
                network_.notes.push_back(fmt::format("option {} is not taken over", name.empty() ? "without a name" : name));
            }
        }
    }

    void add_hosts(const json::object& holder) {
        for (const json::object* found : objects_at(holder, "reservations")) {
            ForeignHost host{.name = std::string{text_at(*found, "hostname")},
                             .address = Ipv4Address::parse(text_at(*found, "ip-address"))};
            const auto mac = MacAddress::parse(text_at(*found, "hw-address"));
            if (!mac) {
                network_.notes.push_back(
                    fmt::format("the reservation of {} has no hw-address and is left out", text_at(*found, "ip-address")));
                continue;
            }
            host.macs.push_back(*mac);
            network_.hosts.push_back(std::move(host));
        }
    }

    ForeignNetwork network_;
    ForeignSubnet common_;
};

}  // namespace

ForeignNetwork read_kea(std::string_view text) { return Reader{}.read(text); }

}  // namespace diskless::cli
