#include "cli/sessions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "cli/exit_code.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;

std::string text(const json::value& value) { return value.is_string() ? std::string{value.as_string()} : json::serialize(value); }

std::string bytes(const json::value& value) {
    constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    auto amount = static_cast<double>(value.to_number<std::uint64_t>());
    std::size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < units.size(); ++unit) amount /= 1024;
    return fmt::format("{:.{}f} {}", amount, unit == 0 ? 0 : 1, units[unit]);
}

std::string age(std::int64_t seconds) {
    if (seconds < 60) return fmt::format("{} s", seconds);
    if (seconds < 3600) return fmt::format("{} min", seconds / 60);
    if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        std::puts(line.c_str());
    }
}

void list(const json::value& answer) {
    std::vector<std::vector<std::string>> rows{
        {"TSIH", "TARGET", "INITIATOR", "FROM", "AGE", "QUEUE", "COMMANDS", "READ", "WRITTEN", "ERRORS"}};
    for (const json::value& entry : answer.at("sessions").as_array()) {
        const auto& session = entry.as_object();
        const std::string target = text(session.at("target"));
        rows.push_back({text(session.at("tsih")), target.empty() ? "(discovery)" : target, text(session.at("initiator")),
                        text(session.at("address")), age(session.at("age_s").to_number<std::int64_t>()), text(session.at("queue_depth")),
                        text(session.at("commands")), bytes(session.at("read_bytes")), bytes(session.at("written_bytes")),
                        text(session.at("errors"))});
    }
    print_table(rows);
}

}  // namespace

int sessions(const ApiClient& api, const std::vector<std::string>& words, bool as_json) {
    const std::string verb = words.empty() ? "list" : words.front();
    if (verb == "list" && words.size() <= 1) {
        const auto answer = api.get("/api/v1/sessions");
        if (as_json) {
            std::puts(json::serialize(answer).c_str());
        } else {
            list(answer);
        }
        return exit_ok;
    }
    if (verb == "drop" && words.size() == 2) {
        (void)api.remove("/api/v1/sessions/" + words[1]);
        fmt::print("session {} is dropped; its initiator may log in again\n", words[1]);
        return exit_ok;
    }
    fmt::print(stderr, "usage: diskless sessions [list | drop TSIH]\n");
    return exit_wrong_input;
}

}  // namespace diskless::cli
