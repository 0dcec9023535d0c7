#include "cli/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "cli/command.hpp"
#include "cli/exit_code.hpp"
#include "cli/import_watch.hpp"
#include "cli/print.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;
namespace options = boost::program_options;
using Words = std::vector<std::string>;

constexpr const char* usage = R"(diskless image - golden images: numbered versions that never change, one of them published

  diskless image list                   the images there are
  diskless image show NAME              the versions of one
  diskless image import NAME FILE       make the next version of a disk image (raw, qcow2, vmdk, vhd, vhdx, iso; also .gz, .xz, .zst)
  diskless image imports                imports that wait, run or are over
  diskless image cancel ID              end an import
  diskless image publish NAME@VERSION   clients get this version from their next boot on
  diskless image rollback NAME          publish the version that was published before
  diskless image delete NAME[@VERSION]  delete a version, or the whole image; what is in use goes later

The server reads FILE itself, as the user it runs as. Every command takes --json.

)";

struct ImportOptions {
    std::string format, description;
    bool no_publish = false, no_wait = false;
};

options::options_description described(ImportOptions& into) {
    options::options_description shown{"Options of import"};
    shown.add_options()                                                                                                             //
        ("format", options::value(&into.format)->value_name("F"), "raw, qcow2, vmdk, vhd, vhdx or iso, instead of recognising it")  //
        ("description", options::value(&into.description)->value_name("TEXT"), "what the version is, for people")                   //
        ("no-publish", options::bool_switch(&into.no_publish), "only make the version; clients go on with the one they have")       //
        ("no-wait", options::bool_switch(&into.no_wait), "do not wait until it is done");
    return shown;
}

int wrong_usage(std::string_view what) {
    fmt::print(stderr, "usage: diskless image {}\n", what);
    return exit_wrong_input;
}

std::string path_of(std::string_view name) { return "/api/v1/images/" + encoded(name); }

/// "NAME@3", or "NAME" "3".
struct Reference {
    std::string name, version;
};
Reference reference_of(const Words& words) {
    const auto at = words.front().find('@');
    if (at != std::string::npos) return {words.front().substr(0, at), words.front().substr(at + 1)};
    return {words.front(), words.size() > 1 ? words[1] : std::string{}};
}

bool is_number(const std::string& text) {
    return !text.empty() && text.size() < 10 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

const json::object* published_version(const json::object& image) {
    for (const json::value& version : image.at("versions").as_array()) {
        if (version.at("published").as_bool()) return &version.as_object();
    }
    return nullptr;
}

void print_list(const json::value& answer) {
    std::vector<Words> rows{{"IMAGE", "PUBLISHED", "VERSIONS", "SIZE", "ON DISK", "DESCRIPTION"}};
    for (const json::value& entry : answer.at("images").as_array()) {
        const auto& image = entry.as_object();
        const json::object* published = published_version(image);
        std::uint64_t stored = 0;
        for (const json::value& version : image.at("versions").as_array()) stored += version.at("stored_bytes").to_number<std::uint64_t>();
        rows.push_back({text(image.at("name")), text(image.at("published")), std::to_string(image.at("versions").as_array().size()),
                        published != nullptr ? bytes(published->at("size_bytes")) : "-", bytes(stored),
                        published != nullptr ? text(published->at("description")) : ""});
    }
    print_table(rows);
}

void print_image(const json::value& image) {
    std::vector<Words> rows{{"VERSION", "STATE", "FORMAT", "SIZE", "ON DISK", "DISKS", "CREATED (UTC)", "DIGEST", "DESCRIPTION"}};
    for (const json::value& entry : image.at("versions").as_array()) {
        const auto& version = entry.as_object();
        std::string state = version.at("published").as_bool() ? "published" : "";
        if (version.at("deleted").as_bool()) state += state.empty() ? "deleted" : ", deleted";
        rows.push_back({text(version.at("version")), state.empty() ? "-" : state, text(version.at("format")),
                        bytes(version.at("size_bytes")), bytes(version.at("stored_bytes")),
                        std::to_string(version.at("used_by").as_array().size()), date(version.at("created_ms")),
                        text(version.at("digest")).substr(0, sizeof("sha256:") - 1 + 12), text(version.at("description"))});
    }
    print_table(rows);
}

void print_imports(const json::value& answer) {
    std::vector<Words> rows{{"ID", "IMAGE", "VERSION", "STATE", "DONE", "SOURCE", "ERROR"}};
    for (const json::value& entry : answer.at("imports").as_array()) {
        const auto& job = entry.as_object();
        const auto total = job.at("total_bytes").to_number<std::uint64_t>();
        const std::string done = text(job.at("state")) != "running" || total == 0
                                     ? "-"
                                     : fmt::format("{} %", job.at("done_bytes").to_number<std::uint64_t>() * 100 / total);
        rows.push_back({text(job.at("id")), text(job.at("image")), text(job.at("version")), text(job.at("state")), done,
                        text(job.at("source")), text(job.at("error"))});
    }
    print_table(rows);
}

int show(const json::value& answer, bool as_json, void (*print)(const json::value&)) {
    (as_json ? print_json : print)(answer);
    return exit_ok;
}

int import(const ApiClient& api, const Words& words, const ImportOptions& given, bool as_json) {
    json::object body{{"source", std::filesystem::absolute(words[1]).lexically_normal().native()}, {"publish", !given.no_publish}};
    if (!given.format.empty()) body["format"] = given.format;
    if (!given.description.empty()) body["description"] = given.description;
    const json::value answer = api.post(path_of(words[0]) + "/import", body);
    const json::object& job = answer.at("import").as_object();
    if (!given.no_wait) return watch_import(api, job, as_json);
    if (as_json) return show(job, true, print_json);
    fmt::print("import {} of {} waits its turn; diskless image imports shows how far it is\n", text(job.at("id")), text(job.at("image")));
    return exit_ok;
}

int publish(const ApiClient& api, const Words& words, bool as_json) {
    const auto [name, version] = reference_of(words);
    if (!is_number(version)) return wrong_usage("publish NAME@VERSION");
    const json::value answer = api.post(path_of(name) + "/publish", {{"version", std::stoul(version)}});
    if (as_json) return show(answer, true, print_json);
    fmt::print("{}@{} is published; clients get it from their next boot on\n", name, text(answer.at("published")));
    return exit_ok;
}

int roll_back(const ApiClient& api, const std::string& name, bool as_json) {
    const json::value answer = api.post(path_of(name) + "/rollback", {});
    if (as_json) return show(answer, true, print_json);
    fmt::print("{}@{} is published again; clients get it from their next boot on\n", name, text(answer.at("published")));
    return exit_ok;
}

int remove(const ApiClient& api, const Words& words, bool as_json) {
    const auto [name, version] = reference_of(words);
    const bool whole = words.size() == 1 && !words.front().contains('@');
    if (!whole && !is_number(version)) return wrong_usage("delete NAME[@VERSION]");
    const json::value answer = api.remove(path_of(name) + (whole ? "" : "/" + version));
    if (as_json) return show(answer, true, print_json);
    for (const json::value& gone : answer.at("gone").as_array()) fmt::print("{}@{} is deleted\n", name, text(gone));
    for (const json::value& deferred : answer.at("deferred").as_array()) fmt::print("{}@{} is marked as deleted\n", name, text(deferred));
    if (!answer.at("why").is_null()) fmt::print("{}\n", text(answer.at("why")));
    return exit_ok;
}

int cancel(const ApiClient& api, const std::string& id, bool as_json) {
    const json::value answer = api.remove("/api/v1/imports/" + id);
    if (as_json) return show(answer, true, print_json);
    fmt::print("import {} is cancelled\n", id);
    return exit_ok;
}

}  // namespace

int print_image_help() {
    ImportOptions unused;
    std::cout << usage << described(unused);
    return exit_ok;
}

int images(const ApiClient& api, const Words& given, bool as_json) {
    ImportOptions import_options;
    const options::options_description shown = described(import_options);
    const auto [given_verb, words] = parse_command(given, shown);
    const std::string verb = given_verb.empty() ? "list" : given_verb;
    const auto takes = [&](std::string_view name, std::size_t least, std::size_t most) {
        return verb == name && words.size() >= least && words.size() <= most;
    };
    if (takes("list", 0, 0)) return show(api.get("/api/v1/images"), as_json, print_list);
    if (takes("show", 1, 1)) return show(api.get(path_of(words[0])), as_json, print_image);
    if (takes("import", 2, 2)) return import(api, words, import_options, as_json);
    if (takes("imports", 0, 0)) return show(api.get("/api/v1/imports"), as_json, print_imports);
    if (takes("cancel", 1, 1)) return cancel(api, words[0], as_json);
    if (takes("publish", 1, 2)) return publish(api, words, as_json);
    if (takes("rollback", 1, 1)) return roll_back(api, words[0], as_json);
    if (takes("delete", 1, 2)) return remove(api, words, as_json);
    std::cerr << usage << shown;
    return exit_wrong_input;
}

}  // namespace diskless::cli
