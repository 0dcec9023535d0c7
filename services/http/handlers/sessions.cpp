#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>

#include "services/http/handlers/handlers.hpp"

namespace diskless::http {
namespace {

namespace json = boost::json;

json::object to_json(const boot::SessionInfo& session) {
    json::object negotiated;
    for (const auto& [key, value] : session.negotiated) negotiated[key] = value;
    json::array latency;
    for (const auto& [limit_us, count] : session.latency_us)
        latency.push_back({{"le_us", limit_us != 0 ? json::value(limit_us) : json::value(nullptr)}, {"count", count}});
    return {{"tsih", session.tsih},
            {"initiator", session.initiator},
            {"target", session.target},
            {"address", session.address},
            {"isid", session.isid},
            {"age_s", session.age.count()},
            {"negotiated", std::move(negotiated)},
            {"queue_depth", session.queue_depth},
            {"commands", session.commands},
            {"read_bytes", session.read_bytes},
            {"written_bytes", session.written_bytes},
            {"errors", session.errors},
            {"r2ts", session.r2ts},
            {"aborts", session.aborts},
            {"latency", std::move(latency)}};
}

}  // namespace

Routes::Handler sessions_handler(const boot::SessionList& list) {
    return [&list](const Asked&) {
        json::array sessions;
        for (const boot::SessionInfo& session : list.sessions()) sessions.push_back(to_json(session));
        return json_answer({{"sessions", std::move(sessions)}});
    };
}

Routes::Handler drop_session_handler(boot::SessionList& list) {
    return [&list](const Asked& asked) {
        const std::string_view number = std::string_view{asked.path}.substr(asked.path.rfind('/') + 1);
        std::uint16_t tsih = 0;
        const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), tsih);
        if (ec != std::errc{} || end != number.data() + number.size())
            return error_answer(beast_http::status::bad_request,
                                "a session is named by its TSIH, a number; GET /api/v1/sessions lists them");
        if (!list.drop_session(tsih)) return error_answer(beast_http::status::not_found, "there is no such session");
        return json_answer({{"dropped", tsih}});
    };
}

}  // namespace diskless::http
