#include "services/dhcp/decision.hpp"

#include "services/dhcp/request_view.hpp"

namespace diskless::dhcp {

using wire::MessageType;

const boot::Client* client_of(const wire::Request& request, const boot::Catalog& catalog) noexcept {
    if (const boot::Client* client = catalog.by_mac(request.header.chaddr)) return client;
    const auto uuid = uuid_of(request.options);
    return uuid ? catalog.by_uuid(*uuid) : nullptr;
}

Decision silence(std::string_view reason) {
    Decision decision;
    decision.reason = reason;
    return decision;
}

Decision stranger(const wire::Request& request, config::UnknownPolicy policy) {
    if (policy == config::UnknownPolicy::ignore) return silence("unknown_client");
    Decision decision = silence("not_enrolled_yet");
    if (request.type == MessageType::discover || request.type == MessageType::bootp) decision.action = Decision::Action::enroll;
    return decision;
}

}  // namespace diskless::dhcp
