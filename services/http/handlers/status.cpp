#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "services/http/handlers/handlers.hpp"

namespace diskless::http {

Answer json_answer(const boost::json::object& body) {
    Answer answer{.text = boost::json::serialize(body) + "\n"};
    answer.headers.set(beast_http::field::content_type, "application/json");
    return answer;
}

Answer error_answer(beast_http::status status, std::string text) {
    Answer answer = json_answer({{"error", std::move(text)}});
    answer.status = status;
    return answer;
}

Routes::Handler health_handler(const std::string& version) {
    return [version, started = std::chrono::steady_clock::now()](const Asked&) {
        const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started).count();
        return json_answer({{"status", "ok"}, {"version", version}, {"uptime_s", uptime}});
    };
}

Routes::Handler metrics_handler(const CounterRegistry& counters) {
    return [&counters](const Asked&) {
        Answer answer;
        for (const auto& [name, value] : counters.samples()) fmt::format_to(std::back_inserter(answer.text), "{} {}\n", name, value);
        answer.headers.set(beast_http::field::content_type, "text/plain; version=0.0.4");
        return answer;
    };
}

}  // namespace diskless::http
