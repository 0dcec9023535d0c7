// What the services saw of a boot, as values. Each service reports to a BootObserver; disklessd's recorder makes timelines of it and keeps
// them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/network.hpp"

namespace diskless::boot {

/// The steps of a boot, in the order in which a machine takes them.
enum class Step : std::uint8_t {
    dhcp,          ///< firmware or loader got an address (ACK)
    loader,        ///< a boot loader was fetched to its end (TFTP or HTTP)
    script,        ///< the client's script was fetched
    kernel,        ///< kernel or initrd were fetched
    login,         ///< firmware or loader logged in to the client's target
    first_read,    ///< first block read of that login
    system_dhcp,   ///< the operating system asked for its address
    system_login,  ///< the operating system logged in to its disk
    first_write,   ///< the operating system wrote to its disk: it is up
};
[[nodiscard]] std::string_view name_of(Step step) noexcept;
/// What fetching a file to its end means for a boot: a loader, a script, or a kernel and its like. By the name alone.
[[nodiscard]] Step step_of_file(std::string_view name) noexcept;

struct Event {
    Step step = Step::dhcp;
    MacAddress mac;
    std::string client;  ///< name, empty for machines nobody declared
    std::string detail;  ///< for people: "undionly.kpxe by TFTP, 63 KiB"; already escaped
    std::chrono::system_clock::time_point at;
    bool uefi_asks = false;  ///< of the step dhcp: UEFI firmware itself, not a loader it has started
};

class BootObserver {
 public:
    virtual ~BootObserver() = default;
    /// From any thread; returns at once.
    virtual void observe(Event event) = 0;
};

}  // namespace diskless::boot
