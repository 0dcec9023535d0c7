#include "common/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <stdexcept>

namespace diskless::log {

void start(std::string_view level_name) {
    const auto level = spdlog::level::from_str(std::string{level_name});
    if (level == spdlog::level::off && level_name != "off") throw std::invalid_argument{fmt::format("unknown log level '{}'", level_name)};
    auto logger = std::make_shared<spdlog::logger>("diskless", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    logger->set_level(level);
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
}

}  // namespace diskless::log
