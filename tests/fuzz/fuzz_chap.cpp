// CHAP: binary values in both writings, and the exchange under whatever keys come. The first line is a binary value; each further line is a
// text segment with ';' between its keys. Nobody here knows the secret, so nobody may ever be let in.
#include <cstdlib>
#include <string>

#include "services/iscsi/security.hpp"

using namespace diskless;
using namespace diskless::iscsi;

namespace {

std::string_view take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
}

void check_value(std::string_view value) {
    const auto bytes = parse_binary(value);
    if (!bytes) return;
    if (bytes->empty() || bytes->size() > max_chap_bytes) std::abort();
    if (parse_binary(print_binary(*bytes)) != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input{reinterpret_cast<const char*>(data), size};
    check_value(take_line(input));
    SecurityNegotiation security;
    security.demand(
        {.chap = true,
         .accounts = {{.user = "desk", .secret = "known to nobody at all", .target_user = "server", .target_secret = "neither"}},
         .algorithms = {ChapAlgorithm::md5, ChapAlgorithm::sha1, ChapAlgorithm::sha256, ChapAlgorithm::sha3_256},
         .challenge = {.identifier = 1, .bytes = std::vector<std::byte>(16, std::byte{7})}});
    while (!input.empty()) {
        std::string text{take_line(input)};
        for (char& c : text) c = c == ';' ? '\0' : c;
        const auto keys = wire::parse_text(text);
        if (!keys) continue;
        std::string answer;
        const auto outcome = security.receive(*keys, answer);
        if (outcome == SecurityNegotiation::Outcome::authenticated || security.satisfied()) std::abort();
        if (!answer.empty() && !wire::parse_text(answer)) std::abort();
        if (outcome == SecurityNegotiation::Outcome::failed) break;
    }
    return 0;
}
