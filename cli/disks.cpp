#include "cli/disks.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/program_options.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "cli/command.hpp"
#include "cli/exit_code.hpp"
#include "cli/print.hpp"
#include "common/text.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;
namespace options = boost::program_options;
using Words = std::vector<std::string>;

constexpr const char* usage = R"(diskless disk - the disks of clients and targets; OWNER is a client's name or a target's

  diskless disk list                           all of them
  diskless disk show OWNER                     one, with its snapshots
  diskless disk create OWNER                   make it now instead of at the first login
  diskless disk reset OWNER                    forget all that was written: it begins again with the published version
  diskless disk resize OWNER SIZE              make it larger: 40GiB
  diskless disk snapshot OWNER NAME            keep what it holds now; also while the machine runs
  diskless disk revert OWNER NAME              back to a snapshot; what was written since, later snapshots too, is forgotten
  diskless disk delete-snapshot OWNER NAME     forget a snapshot, not what the disk holds
  diskless disk edit OWNER                     its next boots keep what they write, to be published: a super client
  diskless disk publish OWNER                  what it holds becomes the next version of its image
  diskless disk export OWNER FILE              write it as a file of its own

The server writes FILE itself, as the user it runs as. Every command takes --json.

)";

struct Given {
    unsigned lun = 0;
    bool force = false;
    std::string description, snapshot, format;
};

options::options_description described(Given& into) {
    options::options_description shown{"Options"};
    shown.add_options()                                                                                                        //
        ("lun", options::value(&into.lun)->value_name("N"), "another one of its disks than LUN 0")                             //
        ("force", options::bool_switch(&into.force), "reset, revert: though a machine uses the disk; it has to boot again")    //
        ("description", options::value(&into.description)->value_name("TEXT"), "publish: what the version is, for people")     //
        ("snapshot", options::value(&into.snapshot)->value_name("NAME"), "export: what a snapshot holds instead of the disk")  //
        ("format", options::value(&into.format)->value_name("F"), "export: raw or qcow2, instead of what the file's name says");
    return shown;
}

std::string path_of(const std::string& owner, const Given& given) { return fmt::format("/api/v1/disks/{}/{}", encoded(owner), given.lun); }

/// "debian@3", what a disk stands on.
std::string base_of(const json::object& disk) {
    if (disk.at("image").is_null()) return "-";
    return disk.at("version").is_null() ? text(disk.at("image")) : fmt::format("{}@{}", text(disk.at("image")), text(disk.at("version")));
}

std::string state_of(const json::object& disk) {
    std::string state = disk.at("file").is_null() ? "not made yet" : disk.at("in_use").as_bool() ? "in use" : "idle";
    if (disk.at("editing").as_bool()) state += ", edits the image";
    const bool older = !disk.at("version").is_null() && disk.at("version") != disk.at("published") && !disk.at("published").is_null();
    if (older) state += fmt::format(", {}@{} is published", text(disk.at("image")), text(disk.at("published")));
    return state;
}

Words row_of(const json::object& disk) {
    return {text(disk.at("owner")),
            text(disk.at("lun")),
            text(disk.at("mode")),
            base_of(disk),
            bytes(disk.at("size_bytes")),
            bytes(disk.at("used_bytes")),
            std::to_string(disk.at("snapshots").as_array().size()),
            state_of(disk)};
}

void print_list(const json::value& answer) {
    std::vector<Words> rows{{"OWNER", "LUN", "MODE", "IMAGE", "SIZE", "ON DISK", "SNAPSHOTS", "STATE"}};
    for (const json::value& disk : answer.at("disks").as_array()) rows.push_back(row_of(disk.as_object()));
    print_table(rows);
}

void print_disk(const json::value& answer) {
    const json::object& disk = answer.as_object();
    fmt::print("{} lun {}: {}, {}\n", text(disk.at("owner")), text(disk.at("lun")), text(disk.at("mode")), state_of(disk));
    fmt::print("  stands on  {}\n  file       {}\n  size       {}\n  on disk    {}\n", base_of(disk), text(disk.at("file")),
               bytes(disk.at("size_bytes")), bytes(disk.at("used_bytes")));
    for (const json::value& entry : disk.at("snapshots").as_array()) {
        const json::object& snapshot = entry.as_object();
        fmt::print("  snapshot   {}  {}  {}\n", date(snapshot.at("created_ms")), text(snapshot.at("name")), text(snapshot.at("file")));
    }
}

int show(const json::value& answer, bool as_json, void (*print)(const json::value&)) {
    (as_json ? print_json : print)(answer);
    return exit_ok;
}

class Command {
 public:
    Command(const ApiClient& api, Words words, Given given, bool as_json)
        : api_{api}, words_{std::move(words)}, given_{std::move(given)}, as_json_{as_json} {}

    int create() const { return order("create", {}, "is made"); }
    int reset() const { return order("reset", {{"force", given_.force}}, "begins anew"); }
    int edit() const {
        return order("edit", {}, "keeps what it writes from its next boot on; diskless disk publish makes a version of it");
    }
    int snapshot() const { return order("snapshot", {{"name", words_[1]}}, fmt::format("has a snapshot {}", words_[1])); }
    int revert() const {
        return order("revert", {{"name", words_[1]}, {"force", given_.force}}, fmt::format("holds what it held at {}", words_[1]));
    }
    int remove_snapshot() const {
        return order("delete-snapshot", {{"name", words_[1]}}, fmt::format("has no snapshot {} any more", words_[1]));
    }
    int show_one() const { return show(api_.get(path_of(words_[0], given_)), as_json_, print_disk); }

    int resize() const {
        const auto size_bytes = parse_size(words_[1]);
        if (!size_bytes) {
            fmt::print(stderr, "diskless: {} is no size; 40GiB is one\n", words_[1]);
            return exit_wrong_input;
        }
        return order("resize", {{"size_bytes", *size_bytes}}, fmt::format("has {} from its next login on", bytes(*size_bytes)));
    }

    int publish() const {
        json::object body;
        if (!given_.description.empty()) body["description"] = given_.description;
        const json::value answer = ask("publish", body);
        if (as_json_) return show(answer, true, print_json);
        fmt::print("{}@{} is published; clients get it from their next boot on\n", text(answer.at("image")), text(answer.at("version")));
        return exit_ok;
    }

    int export_disk() const {
        const auto to = std::filesystem::absolute(words_[1]).lexically_normal();
        const std::string format = !given_.format.empty() ? given_.format : to.extension() == ".qcow2" ? "qcow2" : "raw";
        json::object body{{"to", to.native()}, {"format", format}};
        if (!given_.snapshot.empty()) body["snapshot"] = given_.snapshot;
        const json::value answer = ask("export", body);
        if (as_json_) return show(answer, true, print_json);
        fmt::print("{} holds {} as {}\n", to.native(), bytes(answer.at("size_bytes")), format);
        return exit_ok;
    }

 private:
    json::value ask(std::string_view verb, const json::object& body) const {
        return api_.post(path_of(words_[0], given_).append("/").append(verb), body);
    }
    int order(std::string_view verb, const json::object& body, std::string_view done) const {
        const json::value answer = ask(verb, body);
        if (as_json_) return show(answer, true, print_json);
        fmt::print("the disk of {} {}\n", words_[0], done);
        return exit_ok;
    }

    const ApiClient& api_;
    Words words_;  ///< the owner, and what else the verb takes
    Given given_;
    bool as_json_;
};

struct Verb {
    std::string_view name;
    std::size_t words;
    int (Command::*work)() const;
};
constexpr std::array verbs = {
    Verb{"show", 1, &Command::show_one},     Verb{"create", 1, &Command::create},
    Verb{"reset", 1, &Command::reset},       Verb{"resize", 2, &Command::resize},
    Verb{"snapshot", 2, &Command::snapshot}, Verb{"revert", 2, &Command::revert},
    Verb{"edit", 1, &Command::edit},         Verb{"delete-snapshot", 2, &Command::remove_snapshot},
    Verb{"publish", 1, &Command::publish},   Verb{"export", 2, &Command::export_disk},
};

}  // namespace

int print_disk_help() {
    Given unused;
    std::cout << usage << described(unused);
    return exit_ok;
}

int disks(const ApiClient& api, const Words& words, bool as_json) {
    Given given;
    const options::options_description shown = described(given);
    auto [verb, rest] = parse_command(words, shown);
    if ((verb.empty() || verb == "list") && rest.empty()) return show(api.get("/api/v1/disks"), as_json, print_list);
    for (const Verb& known : verbs) {
        if (known.name == verb && known.words == rest.size()) return (Command{api, std::move(rest), given, as_json}.*known.work)();
    }
    std::cerr << usage << shown;
    return exit_wrong_input;
}

}  // namespace diskless::cli
