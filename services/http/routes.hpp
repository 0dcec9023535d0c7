// Routes: which handler answers a path. A prefix ends in '/', everything else is the whole path. Filled at start, then only read: any
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "services/http/answer.hpp"

namespace diskless::http {

class Routes {
 public:
    using Handler = std::function<Answer(const Asked&)>;

    void add(std::string path, Handler handler);
    /// Parses the target, finds the handler, and turns what no handler is for into an answer too: 400, 404, 405.
    [[nodiscard]] Answer answer(const Request& request, Ipv4Address peer) const;

 private:
    struct Route {
        std::string path;
        Handler handler;
    };
    std::vector<Route> routes_;
};

}  // namespace diskless::http
