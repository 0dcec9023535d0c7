#include "cli/command.hpp"

#include <fmt/format.h>

#include <boost/program_options.hpp>

namespace diskless::cli {

namespace options = boost::program_options;

ParsedCommand parse_command(const std::vector<std::string>& given, const options::options_description& shown) {
    ParsedCommand command;
    options::options_description all;
    all.add(shown).add_options()("words", options::value(&command.words));
    options::positional_options_description positions;
    positions.add("words", -1);
    options::variables_map map;
    options::store(options::command_line_parser(given).options(all).positional(positions).run(), map);
    options::notify(map);
    if (command.words.empty()) return command;
    command.verb = command.words.front();
    command.words.erase(command.words.begin());
    return command;
}

std::string encoded(std::string_view name) {
    std::string text;
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        text += plain ? std::string{c} : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return text;
}

}  // namespace diskless::cli
