// Configurations of other DHCP servers: any text is read as any of them, and what comes out is bounded by what went in.
#include <cstdlib>

#include "cli/importers/foreign.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace diskless::cli;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    for (const auto kind : {kind_of(text), ForeignKind::dnsmasq, ForeignKind::dhcpd, ForeignKind::kea}) {
        const ForeignNetwork network = read_foreign(kind, text);
        if (network.hosts.size() + network.subnets.size() > size) std::abort();
        if (write_toml(network, "desks").contains('\0')) std::abort();
    }
    return 0;
}
