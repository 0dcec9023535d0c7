// Log lines: a stable event name, then key=value fields: `log::info("lease.offered", "mac={} ip={}", mac, ip)`.
// info is what a person cares about; packets only at trace. What a peer chose goes through escaped() (common/text.hpp).
#pragma once

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <string_view>

namespace diskless::log {

/// Foreground daemon: one line each to stderr, flushed. Throws std::invalid_argument for an unknown level name.
void start(std::string_view level_name);

namespace detail {
template<class... Args>
void line(spdlog::level::level_enum level, std::string_view event, fmt::format_string<Args...> fields, Args&&... args) {
    if (!spdlog::default_logger_raw()->should_log(level)) return;
    fmt::memory_buffer out;
    out.append(event);
    out.push_back(' ');
    fmt::format_to(fmt::appender(out), fields, std::forward<Args>(args)...);
    spdlog::default_logger_raw()->log(level, std::string_view{out.data(), out.size()});
}
}  // namespace detail

inline void info(std::string_view event) { spdlog::default_logger_raw()->log(spdlog::level::info, event); }

template<class... Args>
void trace(std::string_view event, fmt::format_string<Args...> fields, Args&&... args) {
    detail::line(spdlog::level::trace, event, fields, std::forward<Args>(args)...);
}
template<class... Args>
void debug(std::string_view event, fmt::format_string<Args...> fields, Args&&... args) {
    detail::line(spdlog::level::debug, event, fields, std::forward<Args>(args)...);
}
template<class... Args>
void info(std::string_view event, fmt::format_string<Args...> fields, Args&&... args) {
    detail::line(spdlog::level::info, event, fields, std::forward<Args>(args)...);
}
template<class... Args>
void warn(std::string_view event, fmt::format_string<Args...> fields, Args&&... args) {
    detail::line(spdlog::level::warn, event, fields, std::forward<Args>(args)...);
}
template<class... Args>
void error(std::string_view event, fmt::format_string<Args...> fields, Args&&... args) {
    detail::line(spdlog::level::err, event, fields, std::forward<Args>(args)...);
}

}  // namespace diskless::log
