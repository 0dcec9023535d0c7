// WatchedDevice: a device whose reads are noted in a ReadMap.
#pragma once

#include <memory>
#include <utility>

#include "storage/block_device.hpp"
#include "storage/read_map.hpp"

namespace diskless::storage {

class WatchedDevice final : public BlockDevice {
 public:
    WatchedDevice(std::shared_ptr<BlockDevice> below, std::shared_ptr<ReadMap> reads)
        : below_{std::move(below)}, reads_{std::move(reads)} {}

    [[nodiscard]] const Geometry& geometry() const noexcept override { return below_->geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return below_->name(); }
    [[nodiscard]] Started start(IoRequest& request) noexcept override {
        if (request.kind == IoKind::read) reads_->note(request.offset_bytes, request.length_bytes);
        return below_->start(request);
    }
    [[nodiscard]] std::optional<Borrowed> borrow(std::uint64_t offset_bytes, std::size_t length_bytes) noexcept override {
        auto borrowed = below_->borrow(offset_bytes, length_bytes);
        if (borrowed) reads_->note(offset_bytes, length_bytes);
        return borrowed;
    }

 private:
    const std::shared_ptr<BlockDevice> below_;
    const std::shared_ptr<ReadMap> reads_;
};

}  // namespace diskless::storage
