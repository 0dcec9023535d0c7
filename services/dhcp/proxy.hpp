// ProxyResponder: what to boot, said beside another DHCP server that gives the addresses (PXE 2.1 2.2.3 and 2.2.4). Pure.
//
//   DISCOVER, port 67   → OFFER without an address; the machine takes its address from the other server and the rest from here
//   REQUEST, port 4011  → ACK with the same, for firmware that asks the boot server once it has its address
//   REQUEST, port 67    → nothing; but it says which address the machine is about to use
#pragma once

#include "boot/plan.hpp"
#include "services/dhcp/decision.hpp"

namespace diskless::dhcp {

class ProxyResponder {
 public:
    ProxyResponder(boot::BootServer server, config::UnknownClients unknown_clients);

    /// `address` of a decision: what the machine says it uses or wants to use.
    [[nodiscard]] Decision on_dhcp_port(const wire::Request& request, const boot::Catalog& catalog) const;
    [[nodiscard]] Decision on_boot_server_port(const wire::Request& request, const boot::Catalog& catalog) const;

 private:
    [[nodiscard]] Decision answer(const wire::Request& request, const boot::Catalog& catalog, wire::MessageType type) const;

    boot::BootServer server_;
    config::UnknownClients unknown_clients_;
};

}  // namespace diskless::dhcp
