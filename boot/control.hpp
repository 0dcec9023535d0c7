// What administrators may see and order of leases and boots, whoever carries it out.
#pragma once

#include <string>
#include <vector>

#include "boot/image.hpp"
#include "boot/lease.hpp"

namespace diskless::boot {

/// All of it waits: not from an event loop's thread.
class LeaseControl {
 public:
    virtual ~LeaseControl() = default;
    /// By address. Offers are none yet.
    [[nodiscard]] virtual std::vector<Lease> leases() = 0;
    /// The address may go to somebody else, one that was declined as well.
    virtual OrRefusal<Lease> release(Ipv4Address address) = 0;
};

/// What a client will be given, as the catalog is now.
struct BootView {
    struct Loader {
        std::string firmware;  ///< "BIOS", "UEFI x64", "UEFI x64 over HTTP" …
        std::string file;      ///< a TFTP name or a URL; empty: nothing is offered
    };
    std::string client;
    std::string method;
    std::vector<std::string> macs;
    std::string address;  ///< reserved or leased; empty: none
    std::string target;
    std::vector<Loader> loaders;
    std::string next_boot;  ///< for one boot; empty: as always
    std::string script;     ///< without secrets
};

class BootControl {
 public:
    virtual ~BootControl() = default;
    [[nodiscard]] virtual OrRefusal<BootView> boot_of(const std::string& client) = 0;
    /// Boots once by another method, or a tool; an empty choice takes that back.
    virtual OrRefusal<BootView> set_next_boot(const std::string& client, const std::string& choice) = 0;
    /// Sends a magic packet to each of its cards; how many they are.
    virtual OrRefusal<std::size_t> wake(const std::string& client) = 0;
};

}  // namespace diskless::boot
