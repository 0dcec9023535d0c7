#include <algorithm>
#include <array>

#include "boot/disk.hpp"
#include "services/http/handlers/orders.hpp"

namespace diskless::http {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;
using beast_http::status;
using boot::DiskControl;
using boot::DiskStatus;

constexpr std::string_view disks_path = "/api/v1/disks";

json::object to_json(const boot::SnapshotRecord& snapshot) {
    return {{"name", snapshot.name}, {"file", snapshot.file.native()}, {"created_ms", snapshot.created.time_since_epoch().count()}};
}

json::object to_json(const DiskStatus& disk) {
    return {{"owner", disk.owner},
            {"lun", disk.lun},
            {"mode", name_of(disk.mode)},
            {"image", text_or_null(disk.image)},
            {"version", number_or_null(disk.version)},
            {"published", number_or_null(disk.published)},
            {"file", text_or_null(disk.file.native())},
            {"size_bytes", disk.size_bytes},
            {"used_bytes", disk.used_bytes},
            {"in_use", disk.in_use},
            {"editing", disk.editing},
            {"snapshots", list_of(disk.snapshots, to_json)}};
}

/// Which disk, and what the order says of it.
struct Order {
    DiskControl& disks;
    std::string owner;
    std::uint16_t lun = 0;
    Body body;

    [[nodiscard]] Answer wrong() const { return error_answer(status::bad_request, body.problem()); }
    [[nodiscard]] bool is_wrong() const { return !body.problem().empty(); }
};

Answer status_answer(const boot::OrRefusal<DiskStatus>& disk) {
    return answer_of(disk, [](const DiskStatus& status) { return to_json(status); });
}

Answer create(Order& order) {
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.create(order.owner, order.lun));
}

Answer reset(Order& order) {
    const bool force = order.body.flag("force", false);
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.reset(order.owner, order.lun, force));
}

Answer resize(Order& order) {
    const auto size_bytes = order.body.count<std::uint64_t>("size_bytes");
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.resize(order.owner, order.lun, size_bytes));
}

Answer edit(Order& order) {
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.edit(order.owner, order.lun));
}

Answer publish(Order& order) {
    const std::string description = order.body.text("description");
    if (order.is_wrong()) return order.wrong();
    const auto made = order.disks.publish(order.owner, order.lun, description);
    if (!made) return refused(made.error());
    const auto disk = order.disks.disk(order.owner, order.lun);
    return json_answer({{"image", disk ? text_or_null(disk->image) : nullptr}, {"version", *made}});
}

Answer snapshot(Order& order) {
    const std::string name = order.body.text("name");
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.snapshot(order.owner, order.lun, name));
}

Answer revert(Order& order) {
    const std::string name = order.body.text("name");
    const bool force = order.body.flag("force", false);
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.revert(order.owner, order.lun, name, force));
}

Answer remove_snapshot(Order& order) {
    const std::string name = order.body.text("name");
    if (order.is_wrong()) return order.wrong();
    return status_answer(order.disks.remove_snapshot(order.owner, order.lun, name));
}

Answer export_disk(Order& order) {
    const fs::path to = order.body.text("to");
    const std::string snapshot = order.body.text("snapshot"), wanted = order.body.text("format");
    const auto format = boot::disk_format(wanted);
    if (!format) order.body.is_wrong("format is neither raw nor qcow2");
    if (!to.is_absolute()) order.body.is_wrong("to is no absolute path of a file");
    if (order.is_wrong()) return order.wrong();
    return answer_of(order.disks.export_disk(order.owner, order.lun, snapshot, to, *format),
                     [](std::uint64_t size_bytes) { return json::object{{"size_bytes", size_bytes}}; });
}

struct Verb {
    std::string_view name;
    Answer (*work)(Order&);
    bool is_long = false;  ///< as long as copying a disk takes
};
constexpr std::array verbs = {
    Verb{"create", create},     Verb{"reset", reset},           Verb{"resize", resize},
    Verb{"edit", edit},         Verb{"revert", revert},         Verb{"delete-snapshot", remove_snapshot, true},
    Verb{"snapshot", snapshot}, Verb{"publish", publish, true}, Verb{"export", export_disk, true},
};

const Verb* verb_of(const Words& words) {
    const auto found = words.size() == 3 ? std::ranges::find(verbs, words.back(), &Verb::name) : verbs.end();
    return found == verbs.end() ? nullptr : &*found;
}

Answer wrong_path() {
    std::string text = "nothing is here; a disk is at /api/v1/disks/OWNER/LUN, orders below it are";
    for (const Verb& verb : verbs) text.append(" ").append(verb.name);
    return error_answer(status::not_found, std::move(text));
}

Answer obey(DiskControl& disks, const Words& words, const std::string& body) {
    const Verb* verb = verb_of(words);
    const auto lun = verb != nullptr ? number<std::uint16_t>(words[1]) : std::nullopt;
    if (!lun) return wrong_path();
    Order order{disks, words[0], *lun, Body{body}};
    return verb->work(order);
}

Answer show(DiskControl& disks, const Words& words) {
    const auto lun = words.size() == 2 ? number<std::uint16_t>(words[1]) : std::nullopt;
    return lun ? status_answer(disks.disk(words[0], *lun)) : wrong_path();
}

}  // namespace

void add_disk_routes(Routes& routes, DiskControl& disks, const Threads& threads) {
    using enum beast_http::verb;
    add_waiting(routes, get, disks_path, "", [&disks, threads](const Words&, const std::string&) {
        return Waiting{threads.slow, [&disks] { return json_answer({{"disks", list_of(disks.disks(), to_json)}}); }};
    });
    add_waiting(routes, get, disks_path, "/", [&disks, threads](const Words& words, const std::string&) {
        return Waiting{threads.slow, [&disks, words] { return show(disks, words); }};
    });
    add_waiting(routes, post, disks_path, "/", [&disks, threads](const Words& words, const std::string& body) {
        const Verb* verb = verb_of(words);
        return Waiting{verb != nullptr && verb->is_long ? threads.copying : threads.slow,
                       [&disks, words, body] { return obey(disks, words, body); }};
    });
}

}  // namespace diskless::http
