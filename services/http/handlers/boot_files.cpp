#include <fmt/format.h>

#include "common/log.hpp"
#include "common/text.hpp"
#include "services/http/file_request.hpp"
#include "services/http/handlers/handlers.hpp"

namespace diskless::http {
namespace {

Answer answer_file(const Asked& asked, storage::BootFile opened) {
    using beast_http::field;
    using beast_http::status;
    const auto file = std::make_shared<const storage::BootFile>(std::move(opened));
    const std::uint64_t size = file->size_bytes();
    const std::string tag = etag(size, file->modified());
    const std::string date = http_date(file->modified());
    Answer answer;
    answer.headers.set(field::etag, tag);
    answer.headers.set(field::last_modified, date);
    answer.headers.set(field::accept_ranges, "bytes");
    if (not_modified(asked.request, tag, date)) {
        answer.status = status::not_modified;
        return answer;
    }
    const auto content_type = content_type_of(file->name());
    answer.headers.set(field::content_type, boost::beast::string_view{content_type.data(), content_type.size()});
    const auto if_range = asked.request.find(field::if_range);
    const bool range_applies = if_range == asked.request.end() || if_range->value() == tag || if_range->value() == date;
    const auto header = asked.request[field::range];
    const RangeResult wanted = range_applies ? parse_range({header.data(), header.size()}, size) : RangeResult{};
    switch (wanted.kind) {
        case RangeResult::Kind::whole: answer.file = {file, 0, size}; break;
        case RangeResult::Kind::part:
            answer.status = status::partial_content;
            answer.headers.set(field::content_range, fmt::format("bytes {}-{}/{}", wanted.range.first, wanted.range.last, size));
            answer.file = {file, wanted.range.first, wanted.range.last - wanted.range.first + 1};
            break;
        case RangeResult::Kind::unsatisfiable:
            answer = plain(status::range_not_satisfiable, "that range is not in the file");
            answer.headers.set(field::content_range, fmt::format("bytes */{}", size));
            break;
    }
    return answer;
}

}  // namespace

Routes::Handler boot_files_handler(const Deps& deps, std::size_t prefix) {
    return [deps, prefix](const Asked& asked) {
        const std::string_view name = std::string_view{asked.path}.substr(prefix);
        const std::string shown = escaped(name);
        auto opened = deps.files.open(name);
        if (!opened) {
            // As for TFTP: a file that is there comes before one that would be made.
            if (auto text = deps.generated ? deps.generated(name, asked.peer) : std::nullopt) {
                Answer made{.text = std::move(*text)};
                made.headers.set(beast_http::field::content_type, "text/plain; charset=utf-8");
                made.headers.set(beast_http::field::cache_control, "no-store");
                made.delivered = [deps, peer = asked.peer, shown] { observe_fetch(deps, peer, boot::Step::script, shown + " by HTTP"); };
                return made;
            }
            log::info("http.not_found", "file=\"{}\" ip={}", shown, asked.peer);
            return plain(beast_http::status::not_found, "there is no such file under the boot folder");
        }
        Answer answer = answer_file(asked, std::move(*opened));
        if (answer.file && answer.status == beast_http::status::ok) {
            const std::uint64_t size = answer.file->length_bytes;
            answer.delivered = [deps, peer = asked.peer, shown, size] {
                observe_fetch(deps, peer, boot::step_of_file(shown), fmt::format("{} by HTTP, {} KiB", shown, (size + 1023) / 1024));
            };
        }
        return answer;
    };
}

}  // namespace diskless::http
