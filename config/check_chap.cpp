// The secrets' file of CHAP: "user secret" or "user secret target-user target-secret" on each line, '#' begins a comment. Findings name
// lines and users, never a secret, nor anything that might be one.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>

#include "config/checks.hpp"
#include "config/names.hpp"

namespace diskless::config {
namespace {

constexpr std::size_t max_secrets_bytes = std::size_t{16} << 20;
constexpr std::size_t min_secret_length = 12;  // RFC 7143 12.1.3: 96 bits

/// Tells what is wrong, and what to do: of the whole file, or of one line.
using Complain = std::function<void(std::string problem, std::string remedy)>;

struct Descriptor {
    int fd = -1;
    explicit Descriptor(int opened) noexcept : fd{opened} {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
};

/// Whoever can read the file can be any user, whoever can write it can become one.
bool is_private(const struct stat& status, const Complain& complain) {
    if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        complain(fmt::format("has mode {:04o}: others may use it", status.st_mode & 07777),
                 "chmod 600 it; 640 is right where a group is to read it");
        return false;
    }
    if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
        complain("belongs to somebody else", "chown it to root");
        return false;
    }
    return true;
}

std::string read_secrets(const std::filesystem::path& file, const Complain& complain) {
    const Descriptor opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat status{};
    if (opened.fd < 0 || ::fstat(opened.fd, &status) != 0) {
        const int reason = errno;
        complain(fmt::format("cannot be read: {}", std::strerror(reason)),
                 reason == ENOENT   ? "create it"
                 : reason == EACCES ? "chown root:<the group of [server] user> it, and chmod 640"  // a reload happens without privileges
                                    : "check its owner and mode");
        return {};
    }
    if (!S_ISREG(status.st_mode)) {
        complain("is not a file", "name a text file");
        return {};
    }
    if (!is_private(status, complain)) return {};
    std::string text;
    std::array<char, 65536> piece{};
    ssize_t n = 0;
    while ((n = ::read(opened.fd, piece.data(), piece.size())) > 0 && text.size() <= max_secrets_bytes)
        text.append(piece.data(), static_cast<std::size_t>(n));
    if (n < 0) complain(fmt::format("cannot be read: {}", std::strerror(errno)), "check the disk");
    if (text.size() > max_secrets_bytes) complain("is too long for a list of users", "name another file");
    return text;
}

std::vector<std::string> words_of(std::string_view line) {
    constexpr std::string_view space = " \t\r";
    std::vector<std::string> words;
    while (true) {
        const std::size_t begin = line.find_first_not_of(space);
        if (begin == std::string_view::npos || line[begin] == '#') return words;
        line.remove_prefix(begin);
        words.emplace_back(line.substr(0, line.find_first_of(space)));
        line.remove_prefix(words.back().size());
    }
}

/// Every word can go into an iPXE script as it is: there, "${" would be replaced.
bool can_be_sent(const std::string& word) noexcept {
    const bool printable = std::ranges::all_of(word, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; });
    return printable && !word.contains("${") && word.size() <= max_chap_word_length;
}

std::optional<boot::ChapAccount> account_of(const std::vector<std::string>& words, bool allow_short, const Complain& complain) {
    if (words.size() != 2 && words.size() != 4) {
        complain(fmt::format("has {} words", words.size()),
                 "write: user secret, or: user secret target-user target-secret; no spaces inside");
        return std::nullopt;
    }
    if (!std::ranges::all_of(words, can_be_sent)) {
        complain("has a word with control characters or '${', or a very long one", "write up to 253 printable characters");
        return std::nullopt;
    }
    boot::ChapAccount account{.user = words[0], .secret = words[1], .target_user = {}, .target_secret = {}};
    if (words.size() == 4) {
        account.target_user = words[2];
        account.target_secret = words[3];
    }
    const bool short_one =
        account.secret.size() < min_secret_length || (words.size() == 4 && account.target_secret.size() < min_secret_length);
    if (short_one && !allow_short)
        complain(fmt::format("has a secret of fewer than {} characters", min_secret_length),
                 "make it longer (openssl rand -base64 18), or set [iscsi] allow_short_secrets = true");
    return account;
}

/// With one secret for both directions each side could answer with what it has just heard (RFC 7143 9.2.1).
void check_directions(const std::vector<boot::ChapAccount>& accounts, const std::vector<unsigned>& lines, const auto& complain_at) {
    std::map<std::string_view, unsigned> initiators;
    for (std::size_t i = 0; i < accounts.size(); ++i) initiators.emplace(accounts[i].secret, lines[i]);
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        if (accounts[i].target_user.empty()) continue;
        if (const auto same = initiators.find(accounts[i].target_secret); same != initiators.end())
            complain_at(lines[i])(same->second == lines[i]
                                      ? std::string{"has the same secret for both directions"}
                                      : fmt::format("has the initiator's secret of line {} as its target's", same->second),
                                  "give the target another secret");
    }
}

std::vector<boot::ChapAccount> parse_secrets(std::string_view text, bool allow_short, const auto& complain_at) {
    std::vector<boot::ChapAccount> accounts;
    std::vector<unsigned> lines;
    std::map<std::string, unsigned> users;
    for (unsigned line = 1; !text.empty(); ++line) {
        const std::string_view written = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), written.size() + 1));
        const auto words = words_of(written);
        if (words.empty()) continue;
        auto account = account_of(words, allow_short, complain_at(line));
        if (!account) continue;
        const auto [first, is_new] = users.emplace(account->user, line);
        if (!is_new) {
            complain_at(line)(fmt::format("has the user of line {} again", first->second), "give it another name, or remove one of them");
            continue;
        }
        accounts.push_back(*std::move(account));
        lines.push_back(line);
    }
    check_directions(accounts, lines, complain_at);
    return accounts;
}

void check_users(const Declaration& declaration, const boot::ChapSecrets& secrets, const std::vector<std::string>& users,
                 const std::vector<Place>& places) {
    for (std::size_t i = 0; i < users.size(); ++i) {
        if (secrets.find(users[i]) != nullptr) continue;
        const std::string problem = fmt::format("CHAP user {} has no secret", in_quotes(users[i]));
        if (declaration.config.iscsi.chap_secrets.empty()) {
            declaration.findings.add(places[i], problem, "set [iscsi] chap_secrets = \"chap.secrets\", and give it a line in that file");
        } else {
            declaration.findings.add(places[i], problem,
                                     fmt::format("give it a line in {}", in_quotes(declaration.config.iscsi.chap_secrets.native())));
        }
    }
}

}  // namespace

void check_chap(const Declaration& declaration, boot::ChapSecrets& secrets) {
    const Config& config = declaration.config;
    const Places& places = declaration.places;
    if (places.services.chap_secrets) {
        bool complained = false;
        const auto complain = [&](std::string problem, std::string remedy) {
            complained = true;
            declaration.findings.add(places.services.chap_secrets,
                                     fmt::format("chap_secrets {} {}", in_quotes(config.iscsi.chap_secrets.native()), problem),
                                     std::move(remedy));
        };
        const auto complain_at = [&](unsigned line) -> Complain {
            return [&, line](std::string problem, std::string remedy) {
                complain(fmt::format("line {} {}", line, problem), std::move(remedy));
            };
        };
        secrets = boot::ChapSecrets{
            parse_secrets(read_secrets(config.iscsi.chap_secrets, complain), config.iscsi.allow_short_secrets, complain_at)};
        if (complained) return;  // of the users some would seem to be missing
    }
    check_users(declaration, secrets, config.iscsi.discovery_auth, places.services.discovery_auth);
    for (std::size_t i = 0; i < config.declared.clients.size(); ++i)
        check_users(declaration, secrets, config.declared.clients[i].chap, places.clients[i].chap);
    for (std::size_t i = 0; i < config.declared.targets.size(); ++i)
        check_users(declaration, secrets, config.declared.targets[i].chap, places.targets[i].chap);
}

}  // namespace diskless::config
