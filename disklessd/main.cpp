// disklessd: reads its options, its configuration, and runs the server until a signal ends it.
// Exit codes: 0 stopped as asked, 1 could not start or failed, 2 the configuration or the command line is wrong.
#include <boost/program_options.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "common/log.hpp"
#include "common/version.hpp"
#include "config/config.hpp"
#include "disklessd/server.hpp"

namespace {

namespace options = boost::program_options;

constexpr int exit_failed = 1;
constexpr int exit_wrong_input = 2;

struct Arguments {
    std::string config = "/etc/diskless/diskless.toml";
    std::string log_level;
    bool check_config = false;
};

/// Prints help or version itself; nothing then means: done.
std::optional<Arguments> parse_arguments(int argc, char** argv) {
    Arguments arguments;
    options::options_description described{"disklessd - boots machines without disks\n\nUsage: disklessd [options]\n\nOptions"};
    described.add_options()                                                                                                        //
        ("config,c", options::value(&arguments.config)->default_value(arguments.config)->value_name("FILE"), "the configuration")  //
        ("check-config", options::bool_switch(&arguments.check_config), "say whether the configuration is right, and exit")        //
        ("log-level", options::value(&arguments.log_level)->value_name("LEVEL"),
         "trace, debug, info, warn or error; overrides the configuration")  //
        ("version", "print the version and exit")                           //
        ("help,h", "print this and exit");
    options::variables_map given;
    options::store(options::command_line_parser(argc, argv).options(described).positional({}).run(), given);
    options::notify(given);
    if (given.contains("help")) {
        std::cout << described << "\nSIGHUP reloads the configuration, SIGTERM stops.\n";
        return std::nullopt;
    }
    if (given.contains("version")) {
        std::cout << "disklessd " << diskless::version << '\n';
        return std::nullopt;
    }
    return arguments;
}

int run(const Arguments& arguments) {
    diskless::config::Config config;
    try {
        config = diskless::config::load(arguments.config);
    } catch (const diskless::config::ConfigError& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return exit_wrong_input;
    }
    if (!arguments.log_level.empty()) config.server.log_level = arguments.log_level;
    if (arguments.check_config) {
        std::printf("%s: ok\n", arguments.config.c_str());
        return 0;
    }
    diskless::log::start(config.server.log_level);
    diskless::Server server{std::move(config)};
    server.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto arguments = parse_arguments(argc, argv);
        return arguments ? run(*arguments) : 0;
    } catch (const options::error& e) {
        std::fprintf(stderr, "disklessd: %s; see disklessd --help\n", e.what());
        return exit_wrong_input;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "disklessd: %s\n", e.what());
        return exit_failed;
    }
}
