// A disk in memory, for tests and simulations: completes everything at once, and lends its bytes.
#pragma once

#include <vector>

#include "storage/block_device.hpp"

namespace diskless::storage {

class MemoryDevice final : public BlockDevice {
 public:
    explicit MemoryDevice(Geometry geometry);

    [[nodiscard]] const Geometry& geometry() const noexcept override { return geometry_; }
    [[nodiscard]] std::string_view name() const noexcept override { return "memory"; }
    [[nodiscard]] Started start(IoRequest& request) noexcept override;
    [[nodiscard]] std::optional<Borrowed> borrow(std::uint64_t offset_bytes, std::size_t length_bytes) noexcept override;

    /// The contents; touch them only while no request is under way.
    [[nodiscard]] MutableByteSpan contents() noexcept { return *bytes_; }

 private:
    Geometry geometry_;
    std::shared_ptr<std::vector<std::byte>> bytes_;
};

}  // namespace diskless::storage
