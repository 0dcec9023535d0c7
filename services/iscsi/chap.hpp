// CHAP: the algorithms, the values on the wire, and the target's side of one exchange (RFC 7143 12.1, RFC 1994). Pure: identifier and
// challenge come in, drawn by whoever owns the connection.
//
//     initiator                     target
//     CHAP_A=<its algorithms>  ->
//                              <-   CHAP_A=<ours>  CHAP_I  CHAP_C
//     CHAP_N  CHAP_R           ->   and CHAP_I CHAP_C, if we are to prove who we are
//                              <-   CHAP_N  CHAP_R, then
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "boot/chap_secrets.hpp"
#include "common/bytes.hpp"
#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {

using boot::ChapAlgorithm;

/// RFC 7143 12.1.3: a challenge or response has at most so many bytes before it is written as text.
inline constexpr std::size_t max_chap_bytes = 1024;

/// H(identifier, secret, challenge): RFC 1994 4.1. Empty when the system's OpenSSL refuses the algorithm (MD5 in FIPS mode).
[[nodiscard]] std::vector<std::byte> chap_response(ChapAlgorithm algorithm, std::uint8_t identifier, std::string_view secret,
                                                   ByteSpan challenge);

/// "0x…" or "0b…" (RFC 7143 6.1: large-binary-value); nothing: malformed, empty, or longer than max_chap_bytes.
[[nodiscard]] std::optional<std::vector<std::byte>> parse_binary(std::string_view value);
/// "0x…": every initiator reads it, iPXE reads nothing else.
[[nodiscard]] std::string print_binary(ByteSpan bytes);

/// What we ask of the initiator. Fresh for every login, and never to be guessed.
struct ChapChallenge {
    std::uint8_t identifier = 0;
    std::vector<std::byte> bytes;
};

/// One exchange from CHAP_A to the proof.
class ChapExchange {
 public:
    enum class Outcome : std::uint8_t { in_progress, proven, failed };

    ChapExchange(std::vector<boot::ChapAccount> accounts, std::vector<ChapAlgorithm> allowed, ChapChallenge challenge);

    /// The CHAP keys of one request; answers are appended. A request without any changes nothing.
    [[nodiscard]] Outcome receive(const std::vector<wire::TextKey>& keys, std::string& answer);
    /// Why it failed; static. "chap_user" and "chap_response" are somebody without the secret, the rest are broken rules.
    [[nodiscard]] std::string_view failure() const noexcept { return failure_; }
    /// As the initiator calls itself; empty: it has not.
    [[nodiscard]] const std::string& user() const noexcept { return user_; }

 private:
    enum class Step : std::uint8_t { algorithm, proof, over };

    Outcome choose(std::string_view algorithms, std::string& answer);
    Outcome verify(const std::vector<wire::TextKey>& keys, std::string& answer);
    Outcome prove(const boot::ChapAccount& account, std::string_view identifier, std::string_view challenge, std::string& answer);
    Outcome fail(std::string_view why) noexcept;

    std::vector<boot::ChapAccount> accounts_;
    std::vector<ChapAlgorithm> allowed_;
    ChapChallenge challenge_;
    Step step_ = Step::algorithm;
    ChapAlgorithm algorithm_ = ChapAlgorithm::md5;
    std::string user_;
    std::string_view failure_;
};

}  // namespace diskless::iscsi
