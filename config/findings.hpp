// Findings: everything that is wrong with one configuration file, each at its place, told together and in the file's order.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diskless::config {

/// Where something is written in the file; line 0 is nowhere (the key is absent).
struct Place {
    std::uint32_t line = 0;
    std::uint32_t column = 0;

    explicit operator bool() const noexcept { return line != 0; }
    friend auto operator<=>(const Place&, const Place&) = default;
};

class Findings {
 public:
    /// `file` is the name that findings begin with.
    explicit Findings(std::string file) : file_{std::move(file)} {}

    void add(Place where, std::string problem, std::string remedy);
    /// "diskless.toml:12:3", to name another place inside a finding.
    [[nodiscard]] std::string at(Place where) const;
    /// Throws ConfigError with all findings in the order of the file, one a line; returns when there are none.
    void raise() const;

 private:
    struct Finding {
        Place where;
        std::string text;
        friend auto operator<=>(const Finding&, const Finding&) = default;
    };

    std::string file_;
    std::vector<Finding> findings_;
};

/// A value of the file as a finding shows it: 'text', made safe for one line.
[[nodiscard]] std::string in_quotes(std::string_view text);
/// `"server", "proxy" or "off"`
[[nodiscard]] std::string one_of(const std::vector<std::string_view>& choices);

}  // namespace diskless::config
