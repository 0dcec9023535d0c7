#include <algorithm>
#include <optional>
#include <span>

#include "services/http/handlers/orders.hpp"

namespace diskless::http {
namespace {

namespace json = boost::json;
using beast_http::status;
using boot::ImageControl;
using boot::ImportJob;

constexpr std::string_view images_path = "/api/v1/images";
constexpr std::string_view imports_path = "/api/v1/imports";

json::object to_json(const ImageControl::Version& shown, unsigned published) {
    const boot::ImageVersion& version = shown.version;
    return {{"version", version.number},
            {"published", version.number == published},
            {"deleted", version.state != boot::VersionState::present},
            {"format", name_of(version.format)},
            {"size_bytes", version.size_bytes},
            {"stored_bytes", shown.stored_bytes},
            {"digest", text_or_null(version.digest)},
            {"description", version.description},
            {"created_ms", version.created.time_since_epoch().count()},
            {"source", version.source},
            {"file", version.file.native()},
            {"used_by", json::array(shown.used_by.begin(), shown.used_by.end())}};
}

json::object to_json(const ImageControl::Image& image) {
    json::array versions;
    for (const ImageControl::Version& version : image.versions) versions.push_back(to_json(version, image.published));
    return {{"name", image.name},
            {"published", number_or_null(image.published)},
            {"declared", image.declared},
            {"versions", std::move(versions)}};
}

json::object to_json(const ImportJob& job) {
    return {{"id", job.id},
            {"image", job.image},
            {"source", job.source.native()},
            {"format", text_or_null(job.format)},
            {"description", job.description},
            {"publish", job.publish},
            {"created_ms", job.created.time_since_epoch().count()},
            {"state", name_of(job.state)},
            {"stage", text_or_null(job.stage)},
            {"done_bytes", job.done_bytes},
            {"total_bytes", job.total_bytes},
            {"version", number_or_null(job.result.number)},
            {"warning", text_or_null(job.warning)},
            {"error", text_or_null(job.error)}};
}

Answer wrong_path() {
    return error_answer(status::not_found,
                        "nothing is here; images are at /api/v1/images/NAME, orders at …/import, …/publish and …/rollback");
}

Answer import(ImageControl& images, const std::string& name, Body body) {
    ImportJob job;
    job.image = name;
    job.source = body.text("source");
    job.format = body.text("format");
    job.description = body.text("description");
    job.publish = body.flag("publish", true);
    if (const std::string problem = body.problem(); !problem.empty()) return error_answer(status::bad_request, problem);
    Answer answer = answer_of(images.import(std::move(job)), [](const ImportJob& made) { return json::object{{"import", to_json(made)}}; });
    if (answer.status == status::ok) answer.status = status::accepted;
    return answer;
}

Answer publish(ImageControl& images, const std::string& name, Body body) {
    const unsigned version = body.count<unsigned>("version");
    if (const std::string problem = body.problem(); !problem.empty()) return error_answer(status::bad_request, problem);
    return answer_of(images.publish(name, version), [](unsigned published) { return json::object{{"published", published}}; });
}

Answer remove(ImageControl& images, const Words& words) {
    std::optional<unsigned> version;
    if (words.size() == 2) {
        version = number<unsigned>(words[1]);
        if (!version) return error_answer(status::bad_request, "a version is named by its number; GET /api/v1/images/NAME lists them");
    }
    return answer_of(images.remove(words[0], version), [](const ImageControl::Removal& removal) {
        return json::object{{"gone", json::array(removal.gone.begin(), removal.gone.end())},
                            {"deferred", json::array(removal.deferred.begin(), removal.deferred.end())},
                            {"why", text_or_null(removal.why)}};
    });
}

/// …/NAME/ORDER: a name with slashes in it is told that it is no name.
Answer order(ImageControl& images, const Words& words, const std::string& body) {
    if (words.size() < 2) return wrong_path();
    std::string name = words.front();
    for (const std::string& more : std::span{words}.subspan(1, words.size() - 2)) name += '/' + more;
    if (words.back() == "import") return import(images, name, Body{body});
    if (words.back() == "publish") return publish(images, name, Body{body});
    if (words.back() != "rollback") return wrong_path();
    return answer_of(images.roll_back(name), [](unsigned published) { return json::object{{"published", published}}; });
}

Answer show_import(ImageControl& images, const Words& words) {
    const auto jobs = images.imports();
    const auto id = words.size() == 1 ? number<std::uint64_t>(words[0]) : std::nullopt;
    const auto job = std::ranges::find(jobs, id.value_or(0), &ImportJob::id);
    if (job == jobs.end()) return error_answer(status::not_found, "there is no such import; GET /api/v1/imports lists them");
    return json_answer({{"import", to_json(*job)}});
}

Answer cancel_import(ImageControl& images, const Words& words) {
    const auto id = words.size() == 1 ? number<std::uint64_t>(words[0]) : std::nullopt;
    return answer_of(images.cancel_import(id.value_or(0)), [](const ImportJob& job) { return json::object{{"import", to_json(job)}}; });
}

}  // namespace

void add_image_routes(Routes& routes, ImageControl& images, const Threads& threads) {
    using Work = Answer (*)(ImageControl&, const Words&, const std::string& body);
    const auto add = [&](beast_http::verb method, std::string_view prefix, std::string_view suffix, Work work) {
        add_waiting(routes, method, prefix, suffix, [&images, work, thread = threads.slow](const Words& words, const std::string& body) {
            return Waiting{.thread = thread, .work = [&images, work, words, body] { return work(images, words, body); }};
        });
    };
    using enum beast_http::verb;
    add(get, images_path, "", [](ImageControl& control, const Words&, const std::string&) {
        return json_answer({{"images", list_of(control.images(), to_json)}});
    });
    add(get, images_path, "/", [](ImageControl& control, const Words& words, const std::string&) {
        return words.size() == 1 ? answer_of(control.image(words[0]), [](const auto& image) { return to_json(image); }) : wrong_path();
    });
    add(post, images_path, "/", order);
    add(delete_, images_path, "/", [](ImageControl& control, const Words& words, const std::string&) {
        return words.empty() || words.size() > 2 ? wrong_path() : remove(control, words);
    });
    add(get, imports_path, "", [](ImageControl& control, const Words&, const std::string&) {
        return json_answer({{"imports", list_of(control.imports(), to_json)}});
    });
    add(get, imports_path, "/", [](ImageControl& control, const Words& words, const std::string&) { return show_import(control, words); });
    add(delete_, imports_path, "/",
        [](ImageControl& control, const Words& words, const std::string&) { return cancel_import(control, words); });
}

}  // namespace diskless::http
