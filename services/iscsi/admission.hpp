// Who may use which target: a client its own, by name and address; a declared shared target whoever its list names. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "services/iscsi/wire/bhs.hpp"

namespace diskless::iscsi {

/// A target as the catalog has it, with what is needed of it after the catalog has changed.
struct TargetRef {
    enum class Kind : std::uint8_t { client, shared };
    Kind kind = Kind::client;
    std::string name;               ///< the client's or the shared target's
    std::string iqn;                ///< "<prefix>:<name>"
    std::optional<MacAddress> mac;  ///< a client's first, for boot events
    std::vector<boot::Disk> disks;

    friend bool operator==(const TargetRef&, const TargetRef&) = default;
};

/// What is known of whoever asks.
struct Visitor {
    std::string_view initiator_name;
    std::optional<IpAddress> address;  ///< nothing: unknown
};

struct Admitted {
    wire::LoginStatus status = wire::LoginStatus::success;
    std::string_view reason;  ///< of a refusal; static
    std::string_view remedy;  ///< what the administrator can do about it; static
    TargetRef target;
    std::vector<std::string> chap;  ///< one of these users it has to be; none: nothing to prove
    std::string redirect;           ///< "host:port", with LoginStatus::target_moved_temporarily
};

class AccessRules {
 public:
    AccessRules(const boot::Catalog& catalog, const boot::AddressBook& addresses, std::string_view prefix) noexcept
        : catalog_{catalog}, addresses_{addresses}, prefix_{prefix} {}

    [[nodiscard]] Admitted admit(std::string_view target_iqn, const Visitor& visitor) const;
    /// The target as it is declared, whoever asks; nothing: there is none.
    [[nodiscard]] std::optional<TargetRef> describe(std::string_view target_iqn) const;
    /// The names of all targets this visitor may use, for SendTargets=All.
    [[nodiscard]] std::vector<std::string> visible_targets(const Visitor& visitor) const;

 private:
    [[nodiscard]] TargetRef ref_of(const boot::Client& client) const;
    [[nodiscard]] TargetRef ref_of(const boot::Target& target) const;
    [[nodiscard]] Admitted admit_client(const boot::Client& client, const Visitor& visitor) const;
    [[nodiscard]] Admitted admit_shared(const boot::Target& target, const Visitor& visitor) const;
    [[nodiscard]] bool is_at_home(const boot::Client& client, const std::optional<IpAddress>& address) const;

    const boot::Catalog& catalog_;
    const boot::AddressBook& addresses_;
    std::string_view prefix_;
};

/// iSCSI names compare without regard to case (RFC 7143 4.2.7.2 prescribes lower case; people type what they like).
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

}  // namespace diskless::iscsi
