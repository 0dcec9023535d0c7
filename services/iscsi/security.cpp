#include "services/iscsi/security.hpp"

#include <algorithm>
#include <utility>

namespace diskless::iscsi {

bool SecurityNegotiation::owns(std::string_view key) noexcept { return key == "AuthMethod" || key.starts_with("CHAP_"); }

void SecurityNegotiation::demand(SecurityDemand demand) {
    demand_ = std::move(demand);
    outcome_ = demand_.chap ? Outcome::in_progress : Outcome::authenticated;
}

SecurityNegotiation::Outcome SecurityNegotiation::fail(std::string_view why) noexcept {
    failure_ = why;
    return outcome_ = Outcome::failed;
}

/// An initiator that need not prove anything is not asked to, whatever it would rather do: None is then the only method there is.
SecurityNegotiation::Outcome SecurityNegotiation::choose(std::string_view methods, std::string& answer) {
    const std::string_view ours = demand_.chap ? "CHAP" : "None";
    while (!methods.empty()) {
        if (wire::take_item(methods) != ours) continue;
        wire::append_text(answer, "AuthMethod", ours);
        if (!demand_.chap) return outcome_ = Outcome::authenticated;
        exchange_.emplace(std::move(demand_.accounts), std::move(demand_.algorithms), std::move(demand_.challenge));
        return outcome_ = Outcome::in_progress;
    }
    return fail("no_common_auth_method");
}

SecurityNegotiation::Outcome SecurityNegotiation::receive(const std::vector<wire::TextKey>& keys, std::string& answer) {
    if (const auto methods = wire::find_key(keys, "AuthMethod")) {
        if (choose(*methods, answer) == Outcome::failed) return outcome_;
    }
    const bool exchanges = std::ranges::any_of(keys, [](const wire::TextKey& key) { return key.key.starts_with("CHAP_"); });
    if (!exchanges) return outcome_;
    if (!exchange_) return fail("chap_not_chosen");
    switch (exchange_->receive(keys, answer)) {
        case ChapExchange::Outcome::in_progress: break;
        case ChapExchange::Outcome::proven: outcome_ = Outcome::authenticated; break;
        case ChapExchange::Outcome::failed: return fail(exchange_->failure());
    }
    return outcome_;
}

}  // namespace diskless::iscsi
