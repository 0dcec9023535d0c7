#include "services/http/handlers/orders.hpp"

#include <boost/asio/co_spawn.hpp>

namespace diskless::http {
namespace {

namespace json = boost::json;
using beast_http::status;

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

asio::awaitable<Answer> done(Waiting waiting) {
    co_return co_await asio::co_spawn(
        waiting.thread,
        [&waiting]() -> asio::awaitable<Answer> {
            try {
                co_return waiting.work();
            } catch (const std::exception& e) {
                co_return error_answer(status::internal_server_error, std::string{e.what()} + "; see the server's log");
            }
        },
        asio::use_awaitable);
}

}  // namespace

void add_waiting(Routes& routes, beast_http::verb method, std::string_view prefix, std::string_view suffix,
                 std::function<Waiting(const Words& words, const std::string& body)> wait) {
    routes.add(method, std::string{prefix}.append(suffix), [prefix = std::string{prefix}, wait = std::move(wait)](const Asked& asked) {
        Answer answer;
        answer.later = [waiting = wait(words_behind(prefix, asked.path), asked.request.body())] { return done(waiting); };
        return answer;
    });
}

Body::Body(const std::string& text) {
    boost::system::error_code error;
    json::value value = text.empty() ? json::object{} : json::parse(text, error);
    if (error || !value.is_object()) {
        problem_ = "the body is no JSON object";
    } else {
        object_ = std::move(value.get_object());
    }
}

const json::value* Body::find(std::string_view key) {
    known_.emplace(key);
    return object_.if_contains(key);
}

std::string Body::text(std::string_view key) {
    const json::value* value = find(key);
    if (value != nullptr && !value->is_string()) problem_ = std::string{key} + " is no text";
    return value != nullptr && value->is_string() ? std::string{value->get_string()} : std::string{};
}

bool Body::flag(std::string_view key, bool otherwise) {
    const json::value* value = find(key);
    if (value != nullptr && !value->is_bool()) problem_ = std::string{key} + " is neither true nor false";
    return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

std::string Body::problem() const {
    if (!problem_.empty()) return problem_;
    for (const auto& member : object_) {
        if (!known_.contains(member.key())) return std::string{member.key()} + " means nothing here; leave it out";
    }
    return {};
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

}  // namespace diskless::http
