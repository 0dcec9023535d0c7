// SwitchDevice: a device that can be changed for another one of the same geometry while requests keep coming: for them it is a short wait.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "storage/block_device.hpp"

namespace diskless::storage {

class SwitchDevice final : public BlockDevice {
 public:
    explicit SwitchDevice(std::shared_ptr<BlockDevice> first)
        : geometry_{first->geometry()}, name_{first->name()}, now_{std::move(first)} {}

    [[nodiscard]] const Geometry& geometry() const noexcept override { return geometry_; }
    [[nodiscard]] std::string_view name() const noexcept override { return name_; }
    [[nodiscard]] Started start(IoRequest& request) noexcept override;

    /// Requests wait, `change` gets this switch's share of the old device, which nobody starts anything on any more, waits for what is
    /// under way there, and returns the new one. When it throws there is no device any more, and every request fails with EIO. Blocks; one
    /// at a time.
    void replace(const std::function<std::shared_ptr<BlockDevice>(std::shared_ptr<BlockDevice> old)>& change);

 private:
    void reopen(std::shared_ptr<BlockDevice> with);

    const Geometry geometry_;
    const std::string name_;
    std::shared_ptr<BlockDevice> now_;  ///< changed only while closed, with nobody inside
    std::atomic<std::uint64_t> inside_{0};
    std::atomic<bool> closed_{false};
    std::mutex mutex_;
    std::vector<IoRequest*> waiting_;
};

}  // namespace diskless::storage
