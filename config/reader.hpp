// TableReader: one table of the file, read key by key into values. Whatever is wrong with a key is a finding and leaves the value as it
// was; a key that nobody asked for is unknown. The keys a table knows are the ones its reader asks for: there is no second list.
#pragma once

#include <toml++/toml.h>

#include <chrono>
#include <concepts>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/findings.hpp"

namespace diskless::config {

[[nodiscard]] Place place_of(const toml::node& node) noexcept;

template<class Enum>
using Choice = std::pair<std::string_view, Enum>;

class TableReader {
 public:
    /// `title` as findings name it: "[server]", "[[client]]", "the disk"; empty for the file itself.
    TableReader(const toml::table& table, std::string title, Findings& findings)
        : table_{&table}, title_{std::move(title)}, findings_{&findings} {}

    // Each reads one key when it is there, and returns where its value is written: nowhere when it is absent or wrong.
    Place text(std::string_view key, std::string& out);
    Place text(std::string_view key, std::optional<std::string>& out);
    Place boolean(std::string_view key, bool& out);
    Place path(std::string_view key, std::filesystem::path& out);
    /// "20GiB"; a multiple of `step`, and at least one step.
    Place size(std::string_view key, std::uint64_t& out, std::uint64_t step);

    template<std::unsigned_integral T>
    Place whole(std::string_view key, T& out, std::uint64_t least, std::uint64_t most = std::numeric_limits<T>::max()) {
        std::uint64_t value = 0;
        const Place where = whole_number(key, value, least, most);
        if (where) out = static_cast<T>(value);
        return where;
    }

    template<class Duration>
    Place duration(std::string_view key, Duration& out, std::chrono::milliseconds least, std::chrono::milliseconds most) {
        std::chrono::milliseconds value{};
        const Place where = milliseconds(key, value, least, most);
        if (where) out = std::chrono::duration_cast<Duration>(value);
        return where;
    }

    template<class Enum>
    Place choice(std::string_view key, Enum& out, std::span<const Choice<Enum>> choices) {
        std::vector<std::string_view> names;
        for (const auto& [name, value] : choices) names.push_back(name);
        std::size_t index = 0;
        const Place where = choice_index(key, index, names);
        if (where) out = choices[index].second;
        return where;
    }

    /// Anything with a parser of its own. `form` says what to write: `an IPv4 address such as "192.168.77.1"`.
    template<class T>
    Place parsed(std::string_view key, std::optional<T>& out, std::optional<T> (*parse)(std::string_view) noexcept, std::string_view form) {
        const toml::node* const node = find(key);
        if (node == nullptr) return {};
        const auto value = element(key, *node, parse, form);
        if (!value) return {};
        out = value;
        return place_of(*node);
    }

    /// A list of them; one alone may stand without brackets. Wrong elements are left out; the places go with the elements.
    template<class T>
    std::vector<Place> list(std::string_view key, std::vector<T>& out, std::optional<T> (*parse)(std::string_view) noexcept,
                            std::string_view form) {
        std::vector<Place> places;
        for (const toml::node* const node : elements(key)) {
            if (auto value = element(key, *node, parse, form)) {
                out.push_back(std::move(*value));
                places.push_back(place_of(*node));
            }
        }
        return places;
    }

    /// [key]; the reader of an empty table when it is absent.
    [[nodiscard]] TableReader table(std::string_view key);
    /// Every [[key]], or every { … } of a list.
    [[nodiscard]] std::vector<TableReader> tables(std::string_view key, std::string title);

    /// Says that `key` is missing, when it is. `example` is a whole line of the file.
    void require(std::string_view key, std::string_view example);
    [[nodiscard]] bool has(std::string_view key) const noexcept { return table_->contains(key); }
    /// Where the key itself is written.
    [[nodiscard]] Place key_place(std::string_view key) const noexcept;
    [[nodiscard]] Place place() const noexcept { return place_of(*table_); }
    [[nodiscard]] Findings& findings() const noexcept { return *findings_; }
    /// Reports every key that was not asked for. Call it last.
    void finish();

 private:
    const toml::node* find(std::string_view key);
    /// A string without control characters, or a finding.
    std::optional<std::string_view> string(std::string_view key, const toml::node& node, std::string_view form);
    std::vector<const toml::node*> elements(std::string_view key);
    Place whole_number(std::string_view key, std::uint64_t& out, std::uint64_t least, std::uint64_t most);
    Place milliseconds(std::string_view key, std::chrono::milliseconds& out, std::chrono::milliseconds least,
                       std::chrono::milliseconds most);
    Place choice_index(std::string_view key, std::size_t& out, const std::vector<std::string_view>& names);
    void wrong_type(std::string_view key, const toml::node& node, std::string_view form);
    void not_understood(std::string_view key, const toml::node& node, std::string_view value, std::string_view form);

    template<class T>
    std::optional<T> element(std::string_view key, const toml::node& node, std::optional<T> (*parse)(std::string_view) noexcept,
                             std::string_view form) {
        const auto written = string(key, node, form);
        if (!written) return std::nullopt;
        auto value = parse(*written);
        if (!value) not_understood(key, node, *written, form);
        return value;
    }

    const toml::table* table_;
    std::string title_;
    Findings* findings_;
    std::vector<std::string_view> asked_;
};

}  // namespace diskless::config
