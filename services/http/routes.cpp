#include "services/http/routes.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>

namespace diskless::http {
namespace {

/// "//boot//x" and "/boot/x" are one path: shim asks with two slashes.
std::string single_slashes(std::string_view path) {
    std::string out;
    for (const char c : path) {
        if (c != '/' || out.empty() || out.back() != '/') out += c;
    }
    return out;
}

}  // namespace

void Routes::add(beast_http::verb method, std::string path, Handler handler) {
    routes_.push_back({method, std::move(path), std::move(handler)});
}

Answer Routes::not_here(const std::string& path) const {
    std::string allowed;
    for (const Route& route : routes_) {
        if (!route.matches(path)) continue;
        const std::string method{beast_http::to_string(route.method)};
        allowed += (allowed.empty() ? "" : ", ") + (method == "GET" ? "GET, HEAD" : method);
    }
    using beast_http::status;
    if (allowed.empty()) return refuse_(status::not_found, hint_.empty() ? "nothing is here" : "nothing is here; " + hint_);
    Answer answer = refuse_(status::method_not_allowed, "only " + allowed + " is answered here");
    answer.headers.set(beast_http::field::allow, allowed);
    return answer;
}

Answer Routes::answer(const Request& request, const IpAddress& peer) const {
    using beast_http::status;
    const std::string target = single_slashes(request.target().substr(0, request.target().find('?'))) +
                               std::string{request.target().substr(std::min(request.target().find('?'), request.target().size()))};
    const auto url = boost::urls::parse_origin_form(target);
    if (url.has_error()) return refuse_(status::bad_request, "the request's target is no URL path");
    const boost::urls::url_view view = url.value();
    const Asked asked{
        .request = request, .peer = peer, .path = view.path(), .parameter = [view](std::string_view key) -> std::optional<std::string> {
            const auto found = view.params().find(boost::urls::string_view{key.data(), key.size()});
            if (found == view.params().end()) return std::nullopt;
            const auto parameter = *found;
            return std::string{parameter.value.data(), parameter.value.size()};
        }};
    const auto method = request.method() == beast_http::verb::head ? beast_http::verb::get : request.method();
    const auto route = std::ranges::find_if(routes_, [&](const Route& r) { return r.method == method && r.matches(asked.path); });
    if (route == routes_.end()) return not_here(asked.path);
    return route->handler(asked);
}

}  // namespace diskless::http
