#include "cli/clients.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "cli/command.hpp"
#include "cli/exit_code.hpp"
#include "cli/print.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;

constexpr std::int64_t ms_per_s = 1000;

void print_boot(const json::value& view) {
    std::string macs;
    for (const json::value& mac : view.at("macs").as_array()) macs += (macs.empty() ? "" : ", ") + text(mac);
    fmt::print("client   {}\nmethod   {}\nonce     {}\nmac      {}\naddress  {}\ntarget   {}\n\n", text(view.at("client")),
               text(view.at("method")), text(view.at("next_boot")), macs.empty() ? "-" : macs, text(view.at("address")),
               text(view.at("target")));
    std::vector<std::vector<std::string>> rows{{"FIRMWARE", "IS OFFERED"}};
    for (const json::value& loader : view.at("loaders").as_array()) rows.push_back({text(loader.at("firmware")), text(loader.at("file"))});
    print_table(rows);
    fmt::print("\n{}", text(view.at("script")));
}

/// Seconds since 1970 for people: the API counts leases in seconds.
std::string moment(const json::value& seconds) { return date(json::value(seconds.to_number<std::int64_t>() * ms_per_s)); }

std::vector<std::vector<std::string>> lease_rows(const json::value& answer) {
    std::vector<std::vector<std::string>> rows{{"ADDRESS", "MAC", "CLIENT", "HOST NAME", "STATE", "STARTS", "EXPIRES"}};
    for (const json::value& lease : answer.at("leases").as_array())
        rows.push_back({text(lease.at("address")), text(lease.at("mac")), text(lease.at("client")), text(lease.at("host_name")),
                        text(lease.at("state")), moment(lease.at("starts")), moment(lease.at("expires"))});
    return rows;
}

/// RFC 4180.
std::string csv_line(const std::vector<std::string>& fields) {
    std::string line;
    for (const std::string& field : fields) {
        if (!line.empty()) line += ',';
        line += '"';
        for (const char c : field) line += c == '"' ? std::string{"\"\""} : std::string(1, c);
        line += '"';
    }
    return line + "\r\n";
}

int wrong_usage(const char* usage) {
    fmt::print(stderr, "usage: {}\n", usage);
    return exit_wrong_input;
}

}  // namespace

int boots(const ApiClient& api, const std::vector<std::string>& words, bool as_json) {
    static constexpr const char* usage = "diskless boot show|wake CLIENT, diskless boot next CLIENT [METHOD|TOOL]";
    if (words.size() < 2 || words.size() > (words[0] == "next" ? 3 : 2)) return wrong_usage(usage);
    const std::string path = "/api/v1/clients/" + encoded(words[1]);
    if (words[0] == "show") {
        const auto view = api.get(path + "/boot");
        as_json ? print_json(view) : print_boot(view);
        return exit_ok;
    }
    if (words[0] == "wake") {
        const auto answer = api.post(path + "/wake", {});
        fmt::print("a magic packet went to {} of {}'s cards; whether it wakes is its firmware's to decide\n", text(answer.at("cards")),
                   words[1]);
        return exit_ok;
    }
    if (words[0] == "next") {
        const std::string choice = words.size() == 3 ? words[2] : "";
        const auto view = api.post(path + "/next", {{"choice", choice}});
        if (as_json) {
            print_json(view);
        } else if (choice.empty()) {
            fmt::print("{} boots as always\n", words[1]);
        } else {
            fmt::print("the next boot of {} is {}, once\n", words[1], choice);
        }
        return exit_ok;
    }
    return wrong_usage(usage);
}

int leases(const ApiClient& api, const std::vector<std::string>& words, bool as_json) {
    const std::string verb = words.empty() ? "list" : words.front();
    if ((verb == "list" || verb == "export") && words.size() <= 1) {
        const auto answer = api.get("/api/v1/leases");
        if (as_json) {
            print_json(answer);
        } else if (verb == "list") {
            print_table(lease_rows(answer));
        } else {
            for (const auto& row : lease_rows(answer)) fmt::print("{}", csv_line(row));
        }
        return exit_ok;
    }
    if (verb == "release" && words.size() == 2) {
        (void)api.remove("/api/v1/leases/" + encoded(words[1]));
        fmt::print("{} is free; the machine that had it may ask for it again\n", words[1]);
        return exit_ok;
    }
    return wrong_usage("diskless lease [list | export | release ADDRESS]");
}

}  // namespace diskless::cli
