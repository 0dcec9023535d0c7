#include "cli/api_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace diskless::cli {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

/// What a refusal says: {"error": "…"}, or what else there is.
std::string error_in(const std::string& body) {
    boost::system::error_code no_json;
    const boost::json::value value = boost::json::parse(body, no_json);
    const boost::json::value* error = !no_json && value.is_object() ? value.get_object().if_contains("error") : nullptr;
    return error != nullptr && error->is_string() ? std::string{error->get_string()} : body;
}

}  // namespace

boost::json::value ApiClient::post(const std::string& path, const boost::json::object& body) const {
    return ask("POST", path, boost::json::serialize(body));
}

boost::json::value ApiClient::ask(const std::string& method, const std::string& path, std::string order) const {
    asio::io_context context;
    asio::local::stream_protocol::socket socket{context};
    boost::system::error_code error;
    socket.connect(asio::local::stream_protocol::endpoint{socket_}, error);
    if (error == asio::error::access_denied) throw ApiError{socket_ + ": permission denied; run this as root"};
    if (error)
        throw ApiError{"no server answers at " + socket_ + " (" + error.message() + "); is disklessd running? Another place: --socket"};
    http::request<http::string_body> request{http::string_to_verb(method), path, 11, std::move(order)};
    request.set(http::field::host, "localhost");
    request.keep_alive(false);
    request.prepare_payload();
    http::response<http::string_body> response;
    boost::beast::flat_buffer buffer;
    http::write(socket, request, error);
    if (!error) http::read(socket, buffer, response, error);
    if (error) throw ApiError{"the server at " + socket_ + " broke off: " + error.message()};
    std::string body = std::move(response.body());
    while (body.ends_with('\n')) body.pop_back();
    if (http::to_status_class(response.result()) != http::status_class::successful) throw ApiError{error_in(body)};
    auto value = boost::json::parse(body, error);
    if (error) throw ApiError{"the server's answer is no JSON; is it another version?"};
    return value;
}

}  // namespace diskless::cli
