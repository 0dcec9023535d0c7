#include "config/reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/text.hpp"

namespace diskless::config {
namespace {

std::string_view type_of(const toml::node& node) noexcept {
    switch (node.type()) {
        case toml::node_type::string: return "a string";
        case toml::node_type::integer: return "a whole number";
        case toml::node_type::floating_point: return "a fraction";
        case toml::node_type::boolean: return "true or false";
        case toml::node_type::array: return node.is_array_of_tables() ? "a list of tables" : "a list";
        case toml::node_type::table: return "a table";
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time: return "a date or time";
        case toml::node_type::none: break;
    }
    return "nothing";
}

constexpr bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

std::string print_duration(std::chrono::milliseconds value) {
    using namespace std::chrono_literals;
    if (value % 24h == 0ms) return fmt::format("{}d", value / 24h);
    if (value % 1h == 0ms) return fmt::format("{}h", value / 1h);
    if (value % 1min == 0ms) return fmt::format("{}m", value / 1min);
    if (value % 1s == 0ms) return fmt::format("{}s", value / 1s);
    return fmt::format("{}ms", value.count());
}

}  // namespace

Place place_of(const toml::node& node) noexcept { return {node.source().begin.line, node.source().begin.column}; }

const toml::node* TableReader::find(std::string_view key) {
    asked_.push_back(key);
    return table_->get(key);
}

Place TableReader::key_place(std::string_view key) const noexcept {
    const auto found = table_->find(key);
    if (found == table_->end()) return place();
    return {found->first.source().begin.line, found->first.source().begin.column};
}

void TableReader::wrong_type(std::string_view key, const toml::node& node, std::string_view form) {
    findings_->add(place_of(node), fmt::format("{} is {}", key, type_of(node)), fmt::format("write {}", form));
}

void TableReader::not_understood(std::string_view key, const toml::node& node, std::string_view value, std::string_view form) {
    findings_->add(place_of(node), fmt::format("{} {} is not understood", key, in_quotes(value)), fmt::format("write {}", form));
}

std::optional<std::string_view> TableReader::string(std::string_view key, const toml::node& node, std::string_view form) {
    const auto* const written = node.as_string();
    if (written == nullptr) {
        wrong_type(key, node, form);
        return std::nullopt;
    }
    // A line break in a command line would become a line of somebody's boot script.
    if (std::ranges::any_of(written->get(), is_control)) {
        findings_->add(place_of(node), fmt::format("{} holds a line break or another control character", key), "write it on one line");
        return std::nullopt;
    }
    return std::string_view{written->get()};
}

Place TableReader::text(std::string_view key, std::string& out) {
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const auto written = string(key, *node, "a text in quotes");
    if (!written) return {};
    out = *written;
    return place_of(*node);
}

Place TableReader::text(std::string_view key, std::optional<std::string>& out) {
    std::string value;
    const Place where = text(key, value);
    if (where) out = std::move(value);
    return where;
}

Place TableReader::boolean(std::string_view key, bool& out) {
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    if (!node->is_boolean()) {
        wrong_type(key, *node, "true or false, without quotes");
        return {};
    }
    out = node->as_boolean()->get();
    return place_of(*node);
}

Place TableReader::path(std::string_view key, std::filesystem::path& out) {
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const auto written = string(key, *node, "a path in quotes");
    if (!written) return {};
    if (written->empty()) {
        findings_->add(place_of(*node), fmt::format("{} is empty", key), "write a path, or remove the line");
        return {};
    }
    out = *written;
    return place_of(*node);
}

Place TableReader::size(std::string_view key, std::uint64_t& out, std::uint64_t step) {
    static constexpr std::string_view form = "a size in quotes such as \"20GiB\"";
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const auto value = element<std::uint64_t>(key, *node, parse_size, form);
    if (!value) return {};
    if (*value == 0 || *value % step != 0) {
        findings_->add(place_of(*node), fmt::format("{} is {} bytes", key, *value),
                       fmt::format("write a multiple of {} bytes such as \"20GiB\"", step));
        return {};
    }
    out = *value;
    return place_of(*node);
}

Place TableReader::whole_number(std::string_view key, std::uint64_t& out, std::uint64_t least, std::uint64_t most) {
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const std::string form = fmt::format("a whole number between {} and {}", least, most);
    if (!node->is_integer()) {
        wrong_type(key, *node, form);
        return {};
    }
    const std::int64_t value = node->as_integer()->get();
    if (value < 0 || static_cast<std::uint64_t>(value) < least || static_cast<std::uint64_t>(value) > most) {
        findings_->add(place_of(*node), fmt::format("{} is {}", key, value), fmt::format("write {}", form));
        return {};
    }
    out = static_cast<std::uint64_t>(value);
    return place_of(*node);
}

Place TableReader::milliseconds(std::string_view key, std::chrono::milliseconds& out, std::chrono::milliseconds least,
                                std::chrono::milliseconds most) {
    static constexpr std::string_view form = "a duration in quotes such as \"12h\", \"30m\", \"90s\" or \"500ms\"";
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const auto value = element<std::chrono::milliseconds>(key, *node, parse_duration, form);
    if (!value) return {};
    if (*value < least || *value > most) {
        findings_->add(place_of(*node), fmt::format("{} is {}", key, print_duration(*value)),
                       fmt::format("write a duration between {} and {}", print_duration(least), print_duration(most)));
        return {};
    }
    out = *value;
    return place_of(*node);
}

Place TableReader::choice_index(std::string_view key, std::size_t& out, const std::vector<std::string_view>& names) {
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const auto written = string(key, *node, one_of(names));
    if (!written) return {};
    const auto found = std::ranges::find(names, *written);
    if (found == names.end()) {
        // "on" is as near to "off" as to anything: no guess from two letters.
        const auto near = written->size() > 2 ? nearest(*written, names) : std::nullopt;
        findings_->add(place_of(*node), fmt::format("{} {} is not known", key, in_quotes(*written)),
                       near ? fmt::format("did you mean \"{}\"?", *near) : fmt::format("write {}", one_of(names)));
        return {};
    }
    out = static_cast<std::size_t>(found - names.begin());
    return place_of(*node);
}

std::vector<const toml::node*> TableReader::elements(std::string_view key) {
    const toml::node* const node = find(key);
    if (node == nullptr) return {};
    const toml::array* const array = node->as_array();
    if (array == nullptr) return {node};
    std::vector<const toml::node*> nodes;
    for (const toml::node& element : *array) nodes.push_back(&element);
    return nodes;
}

TableReader TableReader::table(std::string_view key) {
    static const toml::table nothing;
    const toml::node* const node = find(key);
    if (node != nullptr && !node->is_table())
        findings_->add(key_place(key), fmt::format("{} is {}", key, type_of(*node)), fmt::format("write one table [{}]", key));
    const bool usable = node != nullptr && node->is_table();
    return {usable ? *node->as_table() : nothing, fmt::format("[{}]", key), *findings_};
}

std::vector<TableReader> TableReader::tables(std::string_view key, std::string title) {
    std::vector<TableReader> readers;
    const toml::node* const node = find(key);
    if (node == nullptr) return readers;
    const std::string form = title.starts_with('[') ? fmt::format("write {} above each of them", title)
                                                    : fmt::format("write a list: {} = [ {{ lun = 0, … }} ]", key);
    const toml::array* const array = node->as_array();
    if (array == nullptr) {
        findings_->add(key_place(key), fmt::format("{} is {}", key, type_of(*node)), form);
        return readers;
    }
    for (const toml::node& element : *array) {
        if (const toml::table* const table = element.as_table()) {
            readers.emplace_back(*table, title, *findings_);
        } else {
            findings_->add(place_of(element), fmt::format("{} holds {}", key, type_of(element)), form);
        }
    }
    return readers;
}

void TableReader::require(std::string_view key, std::string_view example) {
    if (!has(key)) findings_->add(place(), fmt::format("{} has no {}", title_, key), fmt::format("add {}", example));
}

void TableReader::finish() {
    for (const auto& [key, value] : *table_) {
        if (std::ranges::find(asked_, key.str()) != asked_.end()) continue;
        const auto near = nearest(key.str(), asked_);
        const Place where{key.source().begin.line, key.source().begin.column};
        if (title_.empty() && (value.is_table() || value.is_array_of_tables())) {
            findings_->add(where, fmt::format("unknown table [{}]", escaped(key.str())),
                           near ? fmt::format("did you mean [{}]?", *near) : fmt::format("remove it (known: {})", fmt::join(asked_, ", ")));
        } else if (title_.empty()) {
            findings_->add(where, fmt::format("key {} stands outside every table", in_quotes(key.str())),
                           "move it below a line such as [server]");
        } else {
            findings_->add(where, fmt::format("unknown key {} in {}", in_quotes(key.str()), title_),
                           near ? fmt::format("did you mean '{}'?", *near) : fmt::format("remove it (known: {})", fmt::join(asked_, ", ")));
        }
    }
}

}  // namespace diskless::config
