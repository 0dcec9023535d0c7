// Routes: which handler answers a method and a path. A prefix ends in '/', everything else is the whole path. Filled at start, then only
// read: any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "services/http/answer.hpp"

namespace diskless::http {

class Routes {
 public:
    using Handler = std::function<Answer(const Asked&)>;

    /// For GET, and HEAD with it.
    void add(std::string path, Handler handler) { add(beast_http::verb::get, std::move(path), std::move(handler)); }
    void add(beast_http::verb method, std::string path, Handler handler);
    /// Parses the target, finds the handler, and turns what no handler is for into an answer too: 400, 404, 405.
    [[nodiscard]] Answer answer(const Request& request, const IpAddress& peer) const;
    using Refuse = Answer (*)(beast_http::status status, std::string text);
    /// What a wrong path is told, and in which form.
    void set_hint(std::string hint, Refuse refuse = plain) {
        hint_ = std::move(hint);
        refuse_ = refuse;
    }

 private:
    struct Route {
        beast_http::verb method;
        std::string path;
        Handler handler;
        [[nodiscard]] bool matches(const std::string& asked) const { return path.ends_with('/') ? asked.starts_with(path) : asked == path; }
    };
    [[nodiscard]] Answer not_here(const std::string& path) const;

    std::vector<Route> routes_;
    std::string hint_;
    Refuse refuse_ = plain;
};

}  // namespace diskless::http
