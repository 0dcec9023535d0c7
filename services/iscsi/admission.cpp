#include "services/iscsi/admission.hpp"

#include <algorithm>

#include "boot/plan.hpp"
#include "common/text.hpp"

namespace diskless::iscsi {
namespace {

using wire::LoginStatus;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) noexcept {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches_wildcard(pattern, name); });
}

bool in_any(const std::vector<Ipv4Range>& ranges, const std::optional<IpAddress>& address) noexcept {
    const auto v4 = address ? address->v4() : std::nullopt;
    return v4 && std::ranges::any_of(ranges, [&](const Ipv4Range& range) { return range.contains(*v4); });
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept { return std::ranges::equal(a, b, {}, lower, lower); }

// A reservation says where the client is, else its lease. Where another DHCP server gives addresses nobody knows: then its name must do.
bool AccessRules::is_at_home(const boot::Client& client, const std::optional<IpAddress>& address) const {
    if (in_any(client.addresses, address)) return true;
    if (address && address->v6()) {
        const auto mac = addresses_.mac_of(*address);  // its address is made of it
        return mac && std::ranges::find(client.macs, *mac) != client.macs.end();
    }
    if (client.address) return address && address->v4() == client.address;
    bool known = false;
    for (const MacAddress& mac : client.macs) {
        const auto lease = addresses_.address_of(mac);
        if (lease && address && address->v4() == lease) return true;
        known = known || lease.has_value();
    }
    return !known && client.addresses.empty();
}

TargetRef AccessRules::ref_of(const boot::Client& client) const {
    return {.kind = TargetRef::Kind::client,
            .name = client.name,
            .iqn = boot::target_name(prefix_, client.name),
            .mac = client.macs.empty() ? std::nullopt : std::optional{client.macs.front()},
            .disks = client.disks};
}

TargetRef AccessRules::ref_of(const boot::Target& target) const {
    return {.kind = TargetRef::Kind::shared, .name = target.name, .iqn = boot::target_name(prefix_, target.name), .disks = target.luns};
}

std::optional<TargetRef> AccessRules::describe(std::string_view target_iqn) const {
    for (const boot::Client& client : catalog_.clients()) {
        if (same_name(target_iqn, boot::target_name(prefix_, client.name))) return ref_of(client);
    }
    for (const boot::Target& target : catalog_.targets()) {
        if (same_name(target_iqn, boot::target_name(prefix_, target.name))) return ref_of(target);
    }
    return std::nullopt;
}

Admitted AccessRules::admit_client(const boot::Client& client, const Visitor& visitor) const {
    const std::string own_name = boot::initiator_name(prefix_, client.name);
    if (!same_name(visitor.initiator_name, own_name) && !matches_any(client.initiators, visitor.initiator_name)) {
        return {.status = LoginStatus::authorization_failure,
                .reason = "initiator_name",
                .remedy = "use the initiator name of this client or add yours to its `initiators`"};
    }
    if (!is_at_home(client, visitor.address)) {
        return {.status = LoginStatus::authorization_failure,
                .reason = "initiator_address",
                .remedy =
                    "the client's address is another one: correct its `address`, let it take its lease from here, or name the other in "
                    "`addresses`"};
    }
    return {.target = ref_of(client), .chap = client.chap};
}

Admitted AccessRules::admit_shared(const boot::Target& target, const Visitor& visitor) const {
    if (!matches_any(target.initiators, visitor.initiator_name)) {
        return {.status = LoginStatus::authorization_failure,
                .reason = "initiator_name",
                .remedy = "add the initiator name to the target's `initiators`"};
    }
    if (!target.addresses.empty() && !in_any(target.addresses, visitor.address)) {
        return {.status = LoginStatus::authorization_failure,
                .reason = "initiator_address",
                .remedy = "add the initiator's address to the target's `addresses`"};
    }
    if (!target.redirect.empty()) {
        return {
            .status = LoginStatus::target_moved_temporarily, .reason = "redirected", .target = ref_of(target), .redirect = target.redirect};
    }
    return {.target = ref_of(target), .chap = target.chap};
}

Admitted AccessRules::admit(std::string_view target_iqn, const Visitor& visitor) const {
    for (const boot::Client& client : catalog_.clients()) {
        if (same_name(target_iqn, boot::target_name(prefix_, client.name))) return admit_client(client, visitor);
    }
    for (const boot::Target& target : catalog_.targets()) {
        if (same_name(target_iqn, boot::target_name(prefix_, target.name))) return admit_shared(target, visitor);
    }
    return {.status = LoginStatus::target_not_found, .reason = "target_name", .remedy = "no client or target of this name is declared"};
}

std::vector<std::string> AccessRules::visible_targets(const Visitor& visitor) const {
    std::vector<std::string> names;
    const auto show = [&](const Admitted& admitted) {
        const bool here = admitted.status == LoginStatus::success && !admitted.target.disks.empty();
        if (here || !admitted.redirect.empty()) names.push_back(admitted.target.iqn);
    };
    for (const boot::Client& client : catalog_.clients()) show(admit_client(client, visitor));
    for (const boot::Target& target : catalog_.targets()) show(admit_shared(target, visitor));
    return names;
}

}  // namespace diskless::iscsi
