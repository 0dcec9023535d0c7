#include "config/findings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/text.hpp"
#include "config/config.hpp"

namespace diskless::config {

void Findings::add(Place where, std::string problem, std::string remedy) {
    findings_.push_back({where, fmt::format("{}: {}; {}", at(where), problem, remedy)});
}

std::string Findings::at(Place where) const { return fmt::format("{}:{}:{}", file_, where.line, where.column); }

void Findings::raise() const {
    if (findings_.empty()) return;
    std::vector<Finding> sorted = findings_;
    std::ranges::sort(sorted);
    std::string text;
    for (const Finding& finding : sorted) text += (text.empty() ? "" : "\n") + finding.text;
    throw ConfigError{text};
}

std::string in_quotes(std::string_view text) { return fmt::format("'{}'", escaped(text, 200)); }

std::string one_of(const std::vector<std::string_view>& choices) {
    std::string text;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (i > 0) text += i + 1 == choices.size() ? " or " : ", ";
        text += fmt::format("\"{}\"", choices[i]);
    }
    return text;
}

}  // namespace diskless::config
