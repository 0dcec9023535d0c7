#include "services/tftp/wire/netascii.hpp"

namespace diskless::tftp::wire {

std::string to_netascii(std::string_view text) {
    std::string out;
    out.reserve(text.size() + text.size() / 16);
    for (const char c : text) {
        if (c == '\n') out += '\r';
        out += c;
        if (c == '\r') out += '\0';
    }
    return out;
}

}  // namespace diskless::tftp::wire
