// dhcpd.conf (dhcpd.conf(5)): subnet, pool, host, and the blocks around them. Statements are words up to a semicolon, or up to a block.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/importers/foreign.hpp"

namespace diskless::cli {
namespace {

constexpr unsigned max_depth = 32;

struct Token {
    std::string text;
    std::size_t line = 0;
    bool is_mark = false;  ///< one of { } ; and not a quoted text
};

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> tokens;
    std::size_t line = 1;
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        if (c == '\n') ++line;
        if (c == '#') {
            while (i < text.size() && text[i] != '\n') ++i;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',') {
            ++i;
        } else if (c == '{' || c == '}' || c == ';') {
            tokens.push_back({std::string(1, c), line, true});
            ++i;
        } else if (c == '"') {
            const auto end = text.find('"', i + 1);
            tokens.push_back({std::string{text.substr(i + 1, end == std::string_view::npos ? end : end - i - 1)}, line, false});
            i = end == std::string_view::npos ? text.size() : end + 1;
        } else {
            const auto end = std::min(text.find_first_of(" \t\r\n,{};\"#", i), text.size());
            tokens.push_back({std::string{text.substr(i, end - i)}, line, false});
            i = end;
        }
    }
    return tokens;
}

/// What inner blocks inherit.
struct Settings {
    std::optional<Ipv4Address> router;
    std::vector<Ipv4Address> dns;
    std::string domain;
    std::optional<std::chrono::seconds> lease_time;
};

class Reader {
 public:
    explicit Reader(std::string_view text) : tokens_{tokens_of(text)} {}

    ForeignNetwork read() {
        while (at_ < tokens_.size()) {
            read_block(Settings{}, nullptr, nullptr, 0);
            if (at_ < tokens_.size()) note("a brace closes nothing");
            ++at_;
        }
        return std::move(network_);
    }

 private:
    using Words = std::vector<std::string>;

    void note(std::string_view what) {
        const std::size_t line = tokens_.empty() ? 0 : tokens_[std::min(at_, tokens_.size() - 1)].line;
        network_.notes.push_back(fmt::format("line {}: {}", line, what));
    }
    [[nodiscard]] bool is(std::string_view mark) const { return at_ < tokens_.size() && tokens_[at_].is_mark && tokens_[at_].text == mark; }

    // Up to the brace that closes it, which is left there.
    void read_block(Settings settings, ForeignSubnet* subnet, ForeignHost* host, unsigned depth) {
        while (at_ < tokens_.size() && !is("}")) {
            Words words;
            while (at_ < tokens_.size() && !tokens_[at_].is_mark) words.push_back(tokens_[at_++].text);
            if (is("{")) {
                read_inner(words, settings, subnet, depth);
            } else if (!is("}")) {
                if (!words.empty()) statement(words, settings, subnet, host);
                ++at_;
            }
        }
        if (subnet != nullptr) apply(settings, *subnet);
    }

    void read_inner(const Words& words, const Settings& settings, ForeignSubnet* outer, unsigned depth) {
        const std::string kind = words.empty() ? std::string{} : words.front();
        ForeignSubnet subnet;
        ForeignHost host;
        ForeignSubnet* inside = outer;
        ForeignHost* of_host = nullptr;
        bool known = true;
        if (kind == "subnet" && words.size() >= 4) {
            known = begin_subnet(words, subnet);
            inside = &subnet;
        } else if (kind == "host" && words.size() >= 2) {
            host.name = words[1];
            of_host = &host;
        } else if (kind != "group" && kind != "shared-network" && kind != "pool") {
            known = false;
            note(fmt::format("{} is not taken over", kind.empty() ? "a block" : "'" + kind + "'"));
        }
        ++at_;  // the brace
        if (!known || depth >= max_depth) {
            skip_block();
        } else {
            read_block(settings, inside, of_host, depth + 1);
        }
        if (is("}")) ++at_;
        if (!known) return;
        if (kind == "subnet") network_.subnets.push_back(std::move(subnet));
        if (of_host == nullptr) return;
        if (host.macs.empty()) return note(fmt::format("host {} has no hardware ethernet and is left out", host.name));
        network_.hosts.push_back(std::move(host));
    }

    void skip_block() {
        for (unsigned depth = 1; at_ < tokens_.size(); ++at_) {
            if (is("{")) ++depth;
            if (is("}") && --depth == 0) return;
        }
    }

    bool begin_subnet(const Words& words, ForeignSubnet& subnet) {
        const auto address = Ipv4Address::parse(words[1]), mask = Ipv4Address::parse(words[3]);
        const auto prefix = mask ? prefix_length(*mask) : std::nullopt;
        const auto network = address && prefix ? network_around(*address, *prefix) : std::nullopt;
        if (!network) {
            note(fmt::format("subnet {} has no netmask that can be read, and is left out", words[1]));
            return false;
        }
        subnet.network = *network;
        return true;
    }

    void statement(const Words& words, Settings& settings, ForeignSubnet* subnet, ForeignHost* host) {
        const auto word = [&](std::size_t i) { return i < words.size() ? std::string_view{words[i]} : std::string_view{}; };
        if (host != nullptr && word(0) == "hardware" && word(1) == "ethernet") {
            if (const auto mac = MacAddress::parse(word(2))) host->macs.push_back(*mac);
        } else if (host != nullptr && word(0) == "fixed-address") {
            host->address = Ipv4Address::parse(word(1));
            if (!host->address) note(fmt::format("fixed-address {} is a name and is left out", word(1)));
        } else if (subnet != nullptr && word(0) == "range") {
            add_range(words, *subnet);
        } else if (word(0) == "default-lease-time") {
            std::int64_t count = 0;
            (void)std::from_chars(word(1).data(), word(1).data() + word(1).size(), count);
            if (count > 0) settings.lease_time = std::chrono::seconds{count};
        } else if (word(0) == "option") {
            option(words, settings);
        }
    }

    void add_range(const Words& words, ForeignSubnet& subnet) {
        const std::size_t from = words.size() > 1 && words[1] == "dynamic-bootp" ? 2 : 1;
        const auto first = words.size() > from ? Ipv4Address::parse(words[from]) : std::nullopt;
        const auto last = words.size() > from + 1 ? Ipv4Address::parse(words[from + 1]) : first;
        if (!first || !last || first->value > last->value) return note("a range that cannot be read is left out");
        subnet.pools.push_back({*first, *last});
    }

    void option(const Words& words, Settings& settings) {
        if (words.size() < 3) return;
        std::vector<Ipv4Address> addresses;
        for (std::size_t i = 2; i < words.size(); ++i) {
            if (const auto address = Ipv4Address::parse(words[i])) addresses.push_back(*address);
        }
        if (words[1] == "routers") {
            if (!addresses.empty()) settings.router = addresses.front();
        } else if (words[1] == "domain-name-servers") {
            settings.dns = addresses;
        } else if (words[1] == "domain-name") {
            settings.domain = lower(words[2]);
        } else if (words[1] != "subnet-mask" && words[1] != "broadcast-address" && words[1] != "host-name") {
            note(fmt::format("option {} is not taken over", words[1]));
        }
    }

    static void apply(const Settings& settings, ForeignSubnet& subnet) {
        if (settings.router && subnet.network.contains(*settings.router)) subnet.router = settings.router;
        subnet.dns = settings.dns;
        subnet.domain = settings.domain;
        if (settings.lease_time) subnet.lease_time = settings.lease_time;
    }

    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    ForeignNetwork network_;
};

}  // namespace

ForeignNetwork read_dhcpd(std::string_view text) { return Reader{text}.read(); }

}  // namespace diskless::cli
