// What the commands share: words and options on the command line, and names in paths of the API.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace diskless::cli {

struct ParsedCommand {
    std::string verb;                ///< the first word; empty: there is none
    std::vector<std::string> words;  ///< the others
};
/// Fills what `options` point to. Throws boost::program_options::error.
[[nodiscard]] ParsedCommand parse_command(const std::vector<std::string>& given,
                                          const boost::program_options::options_description& options);

/// What no name has is percent-encoded (RFC 3986 2.1), for the server to say what is wrong with it.
[[nodiscard]] std::string encoded(std::string_view name);

}  // namespace diskless::cli
