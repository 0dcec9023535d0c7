#include "cli/api_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>

namespace diskless::cli {

namespace asio = boost::asio;
namespace http = boost::beast::http;

boost::json::value ApiClient::ask(const std::string& method, const std::string& path) const {
    asio::io_context context;
    asio::local::stream_protocol::socket socket{context};
    boost::system::error_code error;
    socket.connect(asio::local::stream_protocol::endpoint{socket_}, error);
    if (error == asio::error::access_denied) throw ApiError{socket_ + ": permission denied; run this as root"};
    if (error)
        throw ApiError{"no server answers at " + socket_ + " (" + error.message() + "); is disklessd running? Another place: --socket"};
    http::request<http::empty_body> request{http::string_to_verb(method), path, 11};
    request.set(http::field::host, "localhost");
    request.keep_alive(false);
    http::response<http::string_body> response;
    boost::beast::flat_buffer buffer;
    http::write(socket, request, error);
    if (!error) http::read(socket, buffer, response, error);
    if (error) throw ApiError{"the server at " + socket_ + " broke off: " + error.message()};
    std::string body = std::move(response.body());
    while (body.ends_with('\n')) body.pop_back();
    if (http::to_status_class(response.result()) != http::status_class::successful) throw ApiError{body};
    auto value = boost::json::parse(body, error);
    if (error) throw ApiError{"the server's answer is no JSON; is it another version?"};
    return value;
}

}  // namespace diskless::cli
