// Decision: what to do about one request, whoever decided it; and who it is that asks. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "boot/catalog.hpp"
#include "boot/firmware.hpp"
#include "boot/lease.hpp"
#include "config/config.hpp"
#include "services/dhcp/wire/message.hpp"

namespace diskless::dhcp {

/// `client` points into the catalog that was given, the reply into the request.
struct Decision {
    enum class Action : std::uint8_t { none, reply, enroll };
    Action action = Action::none;
    std::string_view reason;  ///< a static word for counters and the log: "offered", "acked", "nak_selecting", "unknown_client" …
    wire::MessageType reply_type = wire::MessageType::bootp;
    wire::Reply reply;
    std::optional<boot::Lease> store;  ///< must be on disk before the reply leaves (or, without a reply, soon); then call committed()
    const boot::Client* client = nullptr;
    boot::Firmware firmware;
    Ipv4Address address;
    bool fresh_address = false;  ///< somebody else may sit on it: worth a conflict probe before it is offered
};

[[nodiscard]] Decision silence(std::string_view reason);
/// A machine nobody declared, under a policy that gives it nothing (yet).
[[nodiscard]] Decision stranger(const wire::Request& request, config::UnknownPolicy policy);
/// By MAC; by the machine's UUID where the card is a new one. nullptr: nobody declared it.
[[nodiscard]] const boot::Client* client_of(const wire::Request& request, const boot::Catalog& catalog) noexcept;

}  // namespace diskless::dhcp
