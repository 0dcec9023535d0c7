#include "services/iscsi/security.hpp"

namespace diskless::iscsi {

bool SecurityNegotiation::owns(std::string_view key) noexcept { return key == "AuthMethod" || key.starts_with("CHAP_"); }

SecurityNegotiation::Outcome SecurityNegotiation::receive(const std::vector<wire::TextKey>& keys, std::string& answer) {
    for (const wire::TextKey& offer : keys) {
        if (!owns(offer.key)) continue;
        if (offer.key != "AuthMethod") {
            // CHAP keys without CHAP having been chosen.
            return outcome_ = Outcome::failed;
        }
        std::string_view methods = offer.value;
        bool none = false;
        while (!methods.empty()) none = wire::take_item(methods) == "None" || none;
        wire::append_text(answer, "AuthMethod", none ? "None" : "Reject");
        outcome_ = none ? Outcome::authenticated : Outcome::failed;
    }
    return outcome_;
}

}  // namespace diskless::iscsi
