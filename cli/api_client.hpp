// ApiClient: asks the server over its Unix socket, one request at a time.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <stdexcept>
#include <string>

namespace diskless::cli {

/// What the user is to be told, in one line.
class ApiError : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

class ApiClient {
 public:
    explicit ApiClient(std::string socket) : socket_{std::move(socket)} {}

    /// The answer's body. Throws ApiError when the server cannot be reached or refuses.
    [[nodiscard]] boost::json::value get(const std::string& path) const { return ask("GET", path); }
    [[nodiscard]] boost::json::value remove(const std::string& path) const { return ask("DELETE", path); }
    [[nodiscard]] boost::json::value post(const std::string& path, const boost::json::object& body) const;

 private:
    [[nodiscard]] boost::json::value ask(const std::string& method, const std::string& path, std::string body = {}) const;

    std::string socket_;
};

}  // namespace diskless::cli
