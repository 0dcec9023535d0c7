// Where the disks of a target come from: the composition root opens them, this service only serves them.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "common/asio.hpp"
#include "services/iscsi/admission.hpp"
#include "storage/block_device.hpp"

namespace diskless::iscsi {

struct Lun {
    std::uint16_t number = 0;
    std::shared_ptr<storage::BlockDevice> device;
    std::string description;
    bool removable = false;
    bool sanitize = false;
};

class LunProvider {
 public:
    virtual ~LunProvider() = default;
    /// The opened disks of `target`, or what is wrong, for the log. Opening may block: do that elsewhere and come back to the caller's
    /// executor. Called for every login, and again when the disks of a target have changed; the devices are released with the last session.
    /// `boots`: firmware logs in. Another device than before means another disk.
    [[nodiscard]] virtual asio::awaitable<std::expected<std::vector<Lun>, std::string>> open(const TargetRef& target, bool boots) = 0;
};

}  // namespace diskless::iscsi
