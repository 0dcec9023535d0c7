// The configuration reader: any text is a Config or a ConfigError whose every line begins with its place; never anything else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static constexpr std::string_view name = "fuzz.toml";
    try {
        (void)diskless::config::parse({reinterpret_cast<const char*>(data), size}, name);
    } catch (const diskless::config::ConfigError& error) {
        for (std::string_view rest = error.what(); !rest.empty();) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            if (!line.starts_with(name) || !line.contains("; ")) std::abort();
            rest.remove_prefix(line.size() == rest.size() ? line.size() : line.size() + 1);
        }
    }
    return 0;
}
