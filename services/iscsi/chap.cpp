#include "services/iscsi/chap.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace diskless::iscsi {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const EVP_MD* digest_of(ChapAlgorithm algorithm) noexcept {
    switch (algorithm) {
        case ChapAlgorithm::md5: return EVP_md5();
        case ChapAlgorithm::sha1: return EVP_sha1();
        case ChapAlgorithm::sha256: return EVP_sha256();
        case ChapAlgorithm::sha3_256: return EVP_sha3_256();
    }
    return nullptr;
}

std::optional<unsigned> hex_digit(char c) noexcept {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    const std::size_t at = hex_digits.find(c);
    if (at == std::string_view::npos) return std::nullopt;
    return static_cast<unsigned>(at);
}

// An odd number of digits stands for a number whose first digit is left out: some initiators drop leading zeros.
std::optional<std::vector<std::byte>> parse_hex(std::string_view digits) {
    std::vector<std::byte> bytes;
    bytes.reserve(digits.size() / 2 + 1);
    unsigned value = 0;
    for (std::size_t left = digits.size(); const char c : digits) {
        const auto digit = hex_digit(c);
        if (!digit) return std::nullopt;
        value = value << 4 | *digit;
        if (--left % 2 == 0) bytes.push_back(static_cast<std::byte>(std::exchange(value, 0)));
    }
    return bytes;
}

// RFC 4648 4, with its padding, or without: writers differ.
std::optional<std::vector<std::byte>> parse_base64(std::string_view text) {
    const bool padded = text.ends_with('=');
    if (padded && text.size() % 4 != 0) return std::nullopt;
    for (unsigned pads = 0; pads < 2 && text.ends_with('='); ++pads) text.remove_suffix(1);
    if (text.size() % 4 == 1) return std::nullopt;
    std::vector<std::byte> bytes;
    bytes.reserve(text.size() * 3 / 4);
    std::uint32_t value = 0;
    unsigned bits = 0;
    for (const char c : text) {
        const std::size_t digit = base64_digits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        value = value << 6 | static_cast<std::uint32_t>(digit);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        bytes.push_back(static_cast<std::byte>(value >> bits));
        value &= (1u << bits) - 1;
    }
    if (value != 0) return std::nullopt;  // bits that belong to no byte
    return bytes;
}

bool same_secret_bytes(ByteSpan a, ByteSpan b) noexcept {
    return !a.empty() && a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::vector<std::byte> chap_response(ChapAlgorithm algorithm, std::uint8_t identifier, std::string_view secret, ByteSpan challenge) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const std::unique_ptr<EVP_MD_CTX, decltype([](EVP_MD_CTX* context) { EVP_MD_CTX_free(context); })> context{EVP_MD_CTX_new()};
    const bool done = context && EVP_DigestInit_ex(context.get(), digest_of(algorithm), nullptr) == 1 &&
                      EVP_DigestUpdate(context.get(), &identifier, 1) == 1 &&
                      EVP_DigestUpdate(context.get(), secret.data(), secret.size()) == 1 &&
                      EVP_DigestUpdate(context.get(), challenge.data(), challenge.size()) == 1 &&
                      EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1;
    if (!done) return {};
    const ByteSpan bytes = std::as_bytes(std::span{digest}.first(size));
    return {bytes.begin(), bytes.end()};
}

std::optional<std::vector<std::byte>> parse_binary(std::string_view value) {
    if (value.size() < 3 || value[0] != '0') return std::nullopt;
    const std::string_view digits = value.substr(2);
    std::optional<std::vector<std::byte>> bytes;
    if (value[1] == 'x' || value[1] == 'X') bytes = parse_hex(digits);
    if (value[1] == 'b' || value[1] == 'B') bytes = parse_base64(digits);
    if (bytes && (bytes->empty() || bytes->size() > max_chap_bytes)) return std::nullopt;
    return bytes;
}

std::string print_binary(ByteSpan bytes) {
    std::string text = "0x";
    text.reserve(2 + 2 * bytes.size());
    for (const std::byte byte : bytes) {
        text += hex_digits[std::to_integer<unsigned>(byte >> 4)];
        text += hex_digits[std::to_integer<unsigned>(byte & std::byte{15})];
    }
    return text;
}

ChapExchange::ChapExchange(std::vector<boot::ChapAccount> accounts, std::vector<ChapAlgorithm> allowed, ChapChallenge challenge)
    : accounts_{std::move(accounts)}, allowed_{std::move(allowed)}, challenge_{std::move(challenge)} {}

ChapExchange::Outcome ChapExchange::fail(std::string_view why) noexcept {
    failure_ = why;
    step_ = Step::over;
    return Outcome::failed;
}

ChapExchange::Outcome ChapExchange::receive(const std::vector<wire::TextKey>& keys, std::string& answer) {
    const bool any = std::ranges::any_of(keys, [](const wire::TextKey& key) { return key.key.starts_with("CHAP_"); });
    if (!any) return Outcome::in_progress;
    switch (step_) {
        case Step::algorithm: {
            const auto algorithms = wire::find_key(keys, "CHAP_A");
            const auto others = std::ranges::count_if(keys, [](const wire::TextKey& key) { return key.key.starts_with("CHAP_"); });
            if (!algorithms || others != 1) return fail("chap_order");
            return choose(*algorithms, answer);
        }
        case Step::proof: return verify(keys, answer);
        case Step::over: break;
    }
    return fail("chap_order");
}

/// The first of the initiator's list that is allowed (RFC 7143 6.2.1: its order is its preference).
ChapExchange::Outcome ChapExchange::choose(std::string_view algorithms, std::string& answer) {
    while (!algorithms.empty()) {
        const auto number = wire::parse_number(wire::take_item(algorithms));
        const auto found = std::ranges::find_if(allowed_, [&](ChapAlgorithm one) { return number == std::to_underlying(one); });
        if (found == allowed_.end()) continue;
        algorithm_ = *found;
        step_ = Step::proof;
        wire::append_text(answer, "CHAP_A", std::to_string(std::to_underlying(algorithm_)));
        wire::append_text(answer, "CHAP_I", std::to_string(challenge_.identifier));
        wire::append_text(answer, "CHAP_C", print_binary(challenge_.bytes));
        return Outcome::in_progress;
    }
    return fail("chap_algorithm");
}

ChapExchange::Outcome ChapExchange::verify(const std::vector<wire::TextKey>& keys, std::string& answer) {
    const auto name = wire::find_key(keys, "CHAP_N");
    const auto proof = wire::find_key(keys, "CHAP_R");
    const auto identifier = wire::find_key(keys, "CHAP_I");
    const auto challenge = wire::find_key(keys, "CHAP_C");
    if (!name || !proof || identifier.has_value() != challenge.has_value() || wire::find_key(keys, "CHAP_A")) return fail("chap_order");
    user_ = *name;
    const auto response = parse_binary(*proof);
    if (!response) return fail("chap_malformed");
    const auto known = std::ranges::find(accounts_, user_, &boot::ChapAccount::user);
    // An unknown user costs what a known one costs: how long the answer takes says nothing about names.
    const std::string_view secret = known != accounts_.end() ? std::string_view{known->secret} : std::string_view{"none of the secrets"};
    const bool proven = same_secret_bytes(chap_response(algorithm_, challenge_.identifier, secret, challenge_.bytes), *response);
    if (known == accounts_.end()) return fail("chap_user");
    if (!proven) return fail("chap_response");
    step_ = Step::over;
    if (!challenge) return Outcome::proven;
    return prove(*known, *identifier, *challenge, answer);
}

/// Only behind the initiator's own proof: whoever has none learns nothing from us.
ChapExchange::Outcome ChapExchange::prove(const boot::ChapAccount& account, std::string_view identifier, std::string_view challenge,
                                          std::string& answer) {
    const auto number = wire::parse_number(identifier);
    const auto bytes = parse_binary(challenge);
    if (!number || *number > 255 || !bytes) return fail("chap_malformed");
    // RFC 7143 12.1.3: our own challenge sent back asks us to do the initiator's work for it.
    if (std::ranges::equal(*bytes, challenge_.bytes)) return fail("chap_reflected");
    if (account.target_user.empty()) return fail("chap_not_mutual");
    const auto response = chap_response(algorithm_, static_cast<std::uint8_t>(*number), account.target_secret, *bytes);
    if (response.empty()) return fail("chap_algorithm");
    wire::append_text(answer, "CHAP_N", account.target_user);
    wire::append_text(answer, "CHAP_R", print_binary(response));
    return Outcome::proven;
}

}  // namespace diskless::iscsi
