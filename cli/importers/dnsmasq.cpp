// dnsmasq.conf and dhcp-hosts files (dnsmasq(8)): dhcp-host, dhcp-range, dhcp-option, domain.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/importers/foreign.hpp"

namespace diskless::cli {
namespace {

/// "45m", "12h", "2d", "1w", "3600"; "infinite" is a year, as long as we promise anything.
std::optional<std::chrono::seconds> lease_time(std::string_view text) noexcept {
    using namespace std::chrono;
    if (text == "infinite") return hours{24 * 365};
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
    if (error != std::errc{} || count <= 0 || count > 24 * 365 * 3600) return std::nullopt;
    if (unit.empty() || unit == "s") return seconds{count};
    if (unit == "m") return minutes{count};
    if (unit == "h") return hours{count};
    if (unit == "d") return days{count};
    if (unit == "w") return weeks{count};
    return std::nullopt;
}

bool is_tag(std::string_view word) noexcept {
    return word.starts_with("set:") || word.starts_with("tag:") || word.starts_with("net:") || word.starts_with("interface:");
}

class Reader {
 public:
    ForeignNetwork read(std::string_view text) {
        for (std::size_t number = 1; !text.empty(); ++number) {
            const std::string_view line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(text.size(), line.size() + 1));
            line_ = number;
            // A comment begins a line, or follows white space.
            std::string_view statement = line;
            if (const auto hash = line.find('#');
                hash != std::string_view::npos && (hash == 0 || line[hash - 1] == ' ' || line[hash - 1] == '\t'))
                statement = line.substr(0, hash);
            read_line(trimmed(statement));
        }
        for (ForeignSubnet& subnet : network_.subnets) {
            if (!subnet.router && router_ && subnet.network.contains(*router_)) subnet.router = router_;
            if (subnet.dns.empty()) subnet.dns = dns_;
            if (subnet.domain.empty()) subnet.domain = domain_;
        }
        return std::move(network_);
    }

 private:
    void note(std::string_view what) { network_.notes.push_back(fmt::format("line {}: {}", line_, what)); }

    void read_line(std::string_view line) {
        if (line.empty()) return;
        if (line.starts_with("--")) line.remove_prefix(2);
        const auto equals = line.find('=');
        const std::string_view key = trimmed(line.substr(0, equals));
        const std::string_view value = equals == std::string_view::npos ? std::string_view{} : trimmed(line.substr(equals + 1));
        if (key == "dhcp-host") return read_host(value);
        if (key == "dhcp-range") return read_range(value);
        if (key == "dhcp-option" || key == "dhcp-option-force") return read_option(value);
        if (key == "domain") {
            domain_ = lower(split(value, ',').front());
            return;
        }
        // A file of --dhcp-hostsfile has the values alone.
        if (equals == std::string_view::npos && MacAddress::parse(split(line, ',').front())) return read_host(line);
        if (key == "dhcp-boot" || key == "pxe-service" || key == "conf-file" || key == "conf-dir" || key == "dhcp-hostsfile")
            note(fmt::format("{} is not taken over", key));
    }

    void read_host(std::string_view value) {
        ForeignHost host;
        bool ignored = false;
        for (std::string_view word : split(value, ',')) {
            if (word.empty() || is_tag(word)) continue;
            if (word.starts_with("id:")) {
                if (word != "id:*") note("a reservation by client id is not taken over; add its mac");
            } else if (word == "ignore") {
                ignored = true;
            } else if (const auto mac = MacAddress::parse(word); mac && word.contains(':')) {
                host.macs.push_back(*mac);
            } else if (const auto address = Ipv4Address::parse(word)) {
                host.address = address;
            } else if (word.starts_with('[') || word.contains('*')) {
                note(fmt::format("'{}' is not taken over", word));
            } else if (!lease_time(word)) {
                host.name = std::string{word};
            }
        }
        if (ignored) return note("a host that is to be ignored is left out: machines that nobody declares are ignored anyway");
        if (host.macs.empty()) return note("a host without a MAC is left out");
        network_.hosts.push_back(std::move(host));
    }

    void read_range(std::string_view value) {
        std::vector<Ipv4Address> addresses;
        std::optional<std::chrono::seconds> time;
        for (const std::string_view word : split(value, ',')) {
            if (is_tag(word)) continue;
            if (word.contains("::") || word.starts_with("constructor:")) return note("a range of IPv6 is left out");
            if (const auto address = Ipv4Address::parse(word)) {
                addresses.push_back(*address);
            } else if (const auto found = lease_time(word)) {
                time = found;
            }
        }
        if (addresses.empty()) return note("a range without an address is left out");
        const auto mask = addresses.size() > 2 ? prefix_length(addresses[2]) : std::nullopt;
        if (!mask) note("a range without a netmask is taken to be in a network of 256 addresses");
        const auto network = network_around(addresses[0], mask.value_or(24));
        ForeignSubnet& subnet = subnet_of(*network);
        if (addresses.size() > 1 && addresses[0].value <= addresses[1].value) subnet.pools.push_back({addresses[0], addresses[1]});
        if (time) subnet.lease_time = time;
    }

    ForeignSubnet& subnet_of(const Ipv4Network& network) {
        const auto found = std::ranges::find(network_.subnets, network, &ForeignSubnet::network);
        if (found != network_.subnets.end()) return *found;
        network_.subnets.push_back({.network = network});
        return network_.subnets.back();
    }

    void read_option(std::string_view value) {
        std::vector<std::string_view> words = split(value, ',');
        std::erase_if(words, is_tag);
        if (words.empty()) return;
        std::string_view name = words.front();
        if (name.starts_with("option:")) name.remove_prefix(7);
        std::vector<Ipv4Address> addresses;
        for (std::size_t i = 1; i < words.size(); ++i) {
            if (const auto address = Ipv4Address::parse(words[i])) addresses.push_back(*address);
        }
        if (name == "router" || name == "3") {
            if (!addresses.empty()) router_ = addresses.front();
        } else if (name == "dns-server" || name == "6") {
            dns_ = addresses;
        } else if ((name == "domain-name" || name == "15") && words.size() > 1) {
            domain_ = lower(words[1]);
        } else {
            note(fmt::format("option {} is not taken over", name));
        }
    }

    ForeignNetwork network_;
    std::size_t line_ = 0;
    std::optional<Ipv4Address> router_;
    std::vector<Ipv4Address> dns_;
    std::string domain_;
};

}  // namespace

ForeignNetwork read_dnsmasq(std::string_view text) { return Reader{}.read(text); }

}  // namespace diskless::cli
