// What a handler answers, as a value: a status, headers, and a text or a stretch of a file. The connection sends it. No socket here, so
// handlers are tested by calling them.
#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/asio.hpp"
#include "common/network.hpp"
#include "storage/boot_files.hpp"

namespace diskless::http {

namespace beast_http = boost::beast::http;
using Request = beast_http::request<beast_http::string_body>;

/// Bytes offset … offset + length - 1 of an open file.
struct FileStretch {
    std::shared_ptr<const storage::BootFile> file;
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;
};

struct Answer {
    beast_http::status status = beast_http::status::ok;
    beast_http::fields headers;
    std::string text;  ///< the body, unless there is a file
    std::optional<FileStretch> file;
    std::function<void()> delivered;                 ///< called when the whole body has left (GET only)
    std::function<asio::awaitable<Answer>()> later;  ///< what makes the answer, where that has to wait; then the rest means nothing

    [[nodiscard]] std::uint64_t length_bytes() const noexcept { return file ? file->length_bytes : text.size(); }
};

/// A short plain text: what happened, and what to do.
[[nodiscard]] inline Answer plain(beast_http::status status, std::string text) {
    Answer answer{.status = status, .text = std::move(text)};
    answer.text += '\n';
    answer.headers.set(beast_http::field::content_type, "text/plain; charset=utf-8");
    return answer;
}

/// A request with what the connection knows of it. The views point into `request`.
struct Asked {
    const Request& request;
    IpAddress peer;
    std::string path;  ///< decoded
    std::function<std::optional<std::string>(std::string_view key)> parameter;
};

}  // namespace diskless::http
