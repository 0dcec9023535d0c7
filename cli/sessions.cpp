#include "cli/sessions.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "cli/exit_code.hpp"
#include "cli/print.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;

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
            print_json(answer);
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
