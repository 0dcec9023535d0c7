// A device that misbehaves on command, around another one: failures, requests that wait until a test lets them go, and crashes that lose
// what was not flushed.
#pragma once

#include <functional>
#include <mutex>
#include <random>
#include <vector>

#include "storage/block_device.hpp"

namespace diskless::storage {

class FaultDevice final : public BlockDevice {
 public:
    explicit FaultDevice(std::shared_ptr<BlockDevice> below) : below_{std::move(below)} {}

    /// Every request for which `chosen` says so fails with `error` (an errno) and changes nothing. An empty function: none.
    void fail(std::function<bool(const IoRequest&)> chosen, int error);
    /// From now on requests are kept; they are pending until release().
    void hold();
    /// Performs what was kept, oldest first, and keeps nothing any more. Returns how many that were.
    std::size_t release();
    [[nodiscard]] std::size_t held() const;

    [[nodiscard]] const Geometry& geometry() const noexcept override { return below_->geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return below_->name(); }
    [[nodiscard]] Started start(IoRequest& request) noexcept override;

 private:
    [[nodiscard]] bool fails(IoRequest& request) const;

    std::shared_ptr<BlockDevice> below_;
    mutable std::mutex mutex_;
    std::function<bool(const IoRequest&)> chosen_;
    int error_ = 0;
    bool holding_ = false;
    std::vector<IoRequest*> kept_;
};

/// Remembers writes since the last flush over a memory image; crash() keeps a random part of them, torn at 512 bytes, as a power cut would.
class CrashDevice final : public BlockDevice {
 public:
    CrashDevice(std::shared_ptr<BlockDevice> below, std::uint64_t seed) : below_{std::move(below)}, random_{seed} {}

    /// Undoes a random subset of the 512-byte sectors written since the last flush. No request may be under way.
    void crash();
    /// The same on a copy, while this one goes on. `below` is `contents`.
    [[nodiscard]] std::vector<std::byte> after_crash(ByteSpan contents, std::uint64_t seed) const;

    [[nodiscard]] const Geometry& geometry() const noexcept override { return below_->geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return below_->name(); }
    /// `below` must complete at once (MemoryDevice does).
    [[nodiscard]] Started start(IoRequest& request) noexcept override;

 private:
    struct Sector {
        std::uint64_t offset_bytes;
        std::vector<std::byte> before;
    };
    void remember(std::uint64_t offset_bytes, std::uint64_t length_bytes);
    void forget(std::uint64_t offset_bytes, std::uint64_t length_bytes);

    std::shared_ptr<BlockDevice> below_;
    std::mt19937_64 random_;
    std::vector<Sector> unsynced_;
};

}  // namespace diskless::storage
