// What handlers of questions and orders share: a path in words, a JSON body, refusals, and answers that have to be waited for.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>
#include <concepts>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "boot/image.hpp"
#include "services/http/handlers/handlers.hpp"

namespace diskless::http {

using Words = std::vector<std::string>;

/// Work that may wait for a disk, and the thread that may wait.
struct Waiting {
    asio::any_io_executor thread;
    std::function<Answer()> work;
};
/// `wait` gets what stands between the slashes behind `prefix`, and the request's body. The path that is answered is prefix + suffix.
void add_waiting(Routes& routes, beast_http::verb method, std::string_view prefix, std::string_view suffix,
                 std::function<Waiting(const Words& words, const std::string& body)> wait);

/// A body's members, each of the kind that is expected; whatever else is there is told by problem().
class Body {
 public:
    explicit Body(const std::string& text);

    /// Empty where there is none.
    [[nodiscard]] std::string text(std::string_view key);
    [[nodiscard]] bool flag(std::string_view key, bool otherwise);
    /// From 1.
    template<std::unsigned_integral T>
    [[nodiscard]] T count(std::string_view key) {
        const boost::json::value* value = find(key);
        boost::system::error_code error;
        const T given = value != nullptr ? value->to_number<T>(error) : 0;
        if (error || given == 0) problem_ = std::string{key} + " is no number from 1";
        return given;
    }
    void is_wrong(std::string why) { problem_ = std::move(why); }
    /// Empty: everything is right.
    [[nodiscard]] std::string problem() const;

 private:
    const boost::json::value* find(std::string_view key);

    boost::json::object object_;
    std::set<std::string, std::less<>> known_;
    std::string problem_;
};

[[nodiscard]] Answer refused(const boot::Refusal& refusal);

template<class T, class F>
Answer answer_of(const boot::OrRefusal<T>& result, const F& body) {
    return result ? json_answer(body(*result)) : refused(result.error());
}

[[nodiscard]] inline boost::json::value text_or_null(const std::string& text) {
    return text.empty() ? boost::json::value(nullptr) : boost::json::value(text);
}
[[nodiscard]] inline boost::json::value number_or_null(unsigned number) {
    return number == 0 ? boost::json::value(nullptr) : boost::json::value(number);
}
template<class T>
boost::json::array list_of(const std::vector<T>& values, boost::json::object (*to_json)(const T&)) {
    boost::json::array list;
    for (const T& value : values) list.push_back(to_json(value));
    return list;
}

template<std::unsigned_integral T>
std::optional<T> number(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

}  // namespace diskless::http
