#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "services/http/handlers/handlers.hpp"

namespace diskless::http {
namespace {

namespace json = boost::json;
using beast_http::status;
using boot::ImageControl;
using boot::ImportJob;
using Words = std::vector<std::string>;

constexpr std::string_view images_path = "/api/v1/images";
constexpr std::string_view imports_path = "/api/v1/imports";

json::value text_or_null(const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); }
json::value number_or_null(unsigned number) { return number == 0 ? json::value(nullptr) : json::value(number); }

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

template<class T>
json::array list_of(const std::vector<T>& values) {
    json::array list;
    for (const T& value : values) list.push_back(to_json(value));
    return list;
}

Answer refused(const boot::Refusal& refusal) {
    switch (refusal.kind) {
        case boot::Refusal::Kind::wrong: return error_answer(status::bad_request, refusal.text);
        case boot::Refusal::Kind::not_found: return error_answer(status::not_found, refusal.text);
        case boot::Refusal::Kind::conflict: return error_answer(status::conflict, refusal.text);
        case boot::Refusal::Kind::failed: break;
    }
    return error_answer(status::internal_server_error, refusal.text);
}

template<class T, class F>
Answer answer_of(const boot::OrRefusal<T>& result, const F& body) {
    return result ? json_answer(body(*result)) : refused(result.error());
}

Answer wrong_path() {
    return error_answer(status::not_found,
                        "nothing is here; images are at /api/v1/images/NAME, orders at …/import, …/publish and …/rollback");
}

template<std::unsigned_integral T>
std::optional<T> number(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

/// What stands between the slashes behind `prefix`.
Words words_behind(std::string_view prefix, std::string_view path) {
    Words words;
    path.remove_prefix(prefix.size());
    while (!path.empty()) {
        path.remove_prefix(1);
        words.emplace_back(path.substr(0, path.find('/')));
        path.remove_prefix(words.back().size());
    }
    return words;
}

/// A body's members, each of the kind that is expected; whatever else is there is told.
class Body {
 public:
    explicit Body(const std::string& text) {
        boost::system::error_code error;
        json::value value = text.empty() ? json::object{} : json::parse(text, error);
        if (error || !value.is_object()) {
            problem_ = "the body is no JSON object";
        } else {
            object_ = std::move(value.get_object());
        }
    }

    [[nodiscard]] std::string text(std::string_view key) {
        const json::value* value = find(key);
        if (value != nullptr && !value->is_string()) problem_ = std::string{key} + " is no text";
        return value != nullptr && value->is_string() ? std::string{value->get_string()} : std::string{};
    }
    [[nodiscard]] bool flag(std::string_view key, bool otherwise) {
        const json::value* value = find(key);
        if (value != nullptr && !value->is_bool()) problem_ = std::string{key} + " is neither true nor false";
        return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
    }
    [[nodiscard]] unsigned count(std::string_view key) {
        const json::value* value = find(key);
        boost::system::error_code error;
        const auto given = value != nullptr ? value->to_number<unsigned>(error) : 0;
        if (error || given == 0) problem_ = std::string{key} + " is no number from 1";
        return given;
    }
    /// Empty: everything is right.
    [[nodiscard]] std::string problem() const {
        if (!problem_.empty()) return problem_;
        for (const auto& member : object_) {
            if (!known_.contains(member.key())) return std::string{member.key()} + " means nothing here; leave it out";
        }
        return {};
    }

 private:
    const json::value* find(std::string_view key) {
        known_.emplace(key);
        return object_.if_contains(key);
    }

    json::object object_;
    std::set<std::string, std::less<>> known_;
    std::string problem_;
};

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
    const unsigned version = body.count("version");
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

asio::awaitable<Answer> on(asio::any_io_executor thread, std::function<Answer()> work) {
    co_return co_await asio::co_spawn(
        thread,
        [&work]() -> asio::awaitable<Answer> {
            try {
                co_return work();
            } catch (const std::exception& e) {
                co_return error_answer(status::internal_server_error, std::string{e.what()} + "; see the server's log");
            }
        },
        asio::use_awaitable);
}

}  // namespace

void add_image_routes(Routes& routes, ImageControl& images, asio::any_io_executor thread) {
    using Work = Answer (*)(ImageControl&, const Words&, const std::string& body);
    const auto add = [&](beast_http::verb method, std::string_view prefix, std::string_view suffix, Work work) {
        routes.add(method, std::string{prefix}.append(suffix), [&images, thread, prefix, work](const Asked& asked) {
            Answer answer;
            answer.later = [&images, thread, work, words = words_behind(prefix, asked.path), body = asked.request.body()] {
                return on(thread, [&images, work, words, body] { return work(images, words, body); });
            };
            return answer;
        });
    };
    using enum beast_http::verb;
    add(get, images_path, "",
        [](ImageControl& control, const Words&, const std::string&) { return json_answer({{"images", list_of(control.images())}}); });
    add(get, images_path, "/", [](ImageControl& control, const Words& words, const std::string&) {
        return words.size() == 1 ? answer_of(control.image(words[0]), [](const auto& image) { return to_json(image); }) : wrong_path();
    });
    add(post, images_path, "/", order);
    add(delete_, images_path, "/", [](ImageControl& control, const Words& words, const std::string&) {
        return words.empty() || words.size() > 2 ? wrong_path() : remove(control, words);
    });
    add(get, imports_path, "",
        [](ImageControl& control, const Words&, const std::string&) { return json_answer({{"imports", list_of(control.imports())}}); });
    add(get, imports_path, "/", [](ImageControl& control, const Words& words, const std::string&) { return show_import(control, words); });
    add(delete_, imports_path, "/",
        [](ImageControl& control, const Words& words, const std::string&) { return cancel_import(control, words); });
}

}  // namespace diskless::http
