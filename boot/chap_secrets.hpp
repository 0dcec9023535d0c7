// Who may prove what: the users of CHAP and their secrets (RFC 7143 12.1). Values; where they are kept is the configuration's business.
// Nothing here is ever printed, logged or stored: a secret leaves the process in one place only, the iPXE script of the client it is for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace diskless::boot {

/// The numbers of CHAP_A (RFC 7143 12.1.3 and the IANA registry).
enum class ChapAlgorithm : std::uint8_t { md5 = 5, sha1 = 6, sha256 = 7, sha3_256 = 8 };

/// One line of the secrets' file.
struct ChapAccount {
    std::string user, secret;                ///< what an initiator proves
    std::string target_user, target_secret;  ///< what the target proves when an initiator asks for it; empty: it cannot
    friend bool operator==(const ChapAccount&, const ChapAccount&) = default;
};

class ChapSecrets {
 public:
    ChapSecrets() = default;
    explicit ChapSecrets(std::vector<ChapAccount> accounts) : accounts_{std::move(accounts)} {}

    /// nullptr: there is no such user.
    [[nodiscard]] const ChapAccount* find(std::string_view user) const noexcept {
        for (const ChapAccount& account : accounts_) {
            if (account.user == user) return &account;
        }
        return nullptr;
    }
    /// Those of `users` that there are.
    [[nodiscard]] std::vector<ChapAccount> of(const std::vector<std::string>& users) const {
        std::vector<ChapAccount> found;
        for (const std::string& user : users) {
            if (const ChapAccount* const account = find(user)) found.push_back(*account);
        }
        return found;
    }
    [[nodiscard]] const std::vector<ChapAccount>& accounts() const noexcept { return accounts_; }
    friend bool operator==(const ChapSecrets&, const ChapSecrets&) = default;

 private:
    std::vector<ChapAccount> accounts_;
};

/// The secrets of this moment; a reload replaces them. Any thread.
class CurrentSecrets {
 public:
    explicit CurrentSecrets(ChapSecrets secrets = {}) : secrets_{std::make_shared<const ChapSecrets>(std::move(secrets))} {}

    [[nodiscard]] std::shared_ptr<const ChapSecrets> get() const {
        const std::lock_guard lock{mutex_};
        return secrets_;
    }
    void replace(ChapSecrets secrets) {
        auto fresh = std::make_shared<const ChapSecrets>(std::move(secrets));
        const std::lock_guard lock{mutex_};
        secrets_ = std::move(fresh);
    }

 private:
    mutable std::mutex mutex_;
    std::shared_ptr<const ChapSecrets> secrets_;
};

}  // namespace diskless::boot
