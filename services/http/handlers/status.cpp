#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "services/http/handlers/handlers.hpp"

namespace diskless::http {

Routes::Handler health_handler(const Deps& deps) {
    return [version = deps.version, started = std::chrono::steady_clock::now()](const Asked&) {
        const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started).count();
        Answer answer{.text =
                          boost::json::serialize(boost::json::value{{"status", "ok"}, {"version", version}, {"uptime_s", uptime}}) + "\n"};
        answer.headers.set(beast_http::field::content_type, "application/json");
        return answer;
    };
}

Routes::Handler metrics_handler(const Deps& deps) {
    return [&counters = deps.counters](const Asked&) {
        Answer answer;
        for (const auto& [name, value] : counters.samples()) fmt::format_to(std::back_inserter(answer.text), "{} {}\n", name, value);
        answer.headers.set(beast_http::field::content_type, "text/plain; version=0.0.4");
        return answer;
    };
}

}  // namespace diskless::http
