// A qcow2 image over memory that forgets what was not synced, with requests that complete in any order, beside a model of what its disk may
// hold.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "storage/fault.hpp"
#include "storage/memory.hpp"
#include "storage/qcow2/create.hpp"
#include "storage/qcow2/image.hpp"

namespace diskless::storage::qcow2 {

inline constexpr std::uint64_t sector_bytes = 512;

/// Some requests complete at once; the others wait until a test lets them go, in any order.
class Shuffled final : public BlockDevice {
 public:
    Shuffled(std::shared_ptr<BlockDevice> below, std::uint64_t seed) : below_{std::move(below)}, random_{seed} {}

    [[nodiscard]] const Geometry& geometry() const noexcept override { return below_->geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return "shuffled"; }
    [[nodiscard]] Started start(IoRequest& request) noexcept override {
        if (at_once || random_() % 4 == 0) return below_->start(request);
        waiting_.push_back(&request);
        return Started::pending;
    }
    /// Performs one of those that wait. False: none does.
    bool step() {
        if (waiting_.empty()) return false;
        const std::size_t chosen = random_() % waiting_.size();
        IoRequest* request = waiting_[chosen];
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(chosen));
        (void)below_->start(*request);
        request->completed();
        return true;
    }

    bool at_once = true;

 private:
    std::shared_ptr<BlockDevice> below_;
    std::mt19937_64 random_;
    std::vector<IoRequest*> waiting_;
};

/// Writes whole sectors, as page caches and disks do: what is written of a sector is lost together or not at all.
class WholeSectors final : public BlockDevice {
 public:
    /// `below` completes at once.
    explicit WholeSectors(std::shared_ptr<BlockDevice> below) : below_{std::move(below)} {}

    [[nodiscard]] const Geometry& geometry() const noexcept override { return below_->geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return below_->name(); }
    [[nodiscard]] Started start(IoRequest& request) noexcept override;

 private:
    std::shared_ptr<BlockDevice> below_;
};

struct Shape {
    unsigned cluster_bits = 16;
    bool extended_l2 = true;
    std::uint64_t disk_bytes = std::uint64_t{2} << 20;
    std::uint64_t backing_bytes = std::uint64_t{1} << 20;  ///< 0: none
    std::uint64_t file_bytes = std::uint64_t{8} << 20;
    unsigned refcount_order = 4;
};

/// Stamps: every sector of the disk is filled with one number.
using Stamp = std::uint64_t;

class Rig {
 public:
    Rig(const Shape& shape, std::uint64_t seed, std::filesystem::path journal = {});
    ~Rig();

    /// Starts a random request that touches no sector of one under way. Whatever completes at once has been checked on return.
    void start_one();
    /// Lets one waiting request go on.
    bool step() { return file->step(); }
    void drain() {
        while (step()) {
        }
    }
    /// False: it was told that it cannot be.
    [[nodiscard]] bool flush();
    /// Closes the image and opens it anew.
    void reopen();
    /// Reads it all and compares.
    void check_contents();

    /// What the file would be after a power cut now: opens, is sound, and holds what flushes have covered.
    void check_after_power_cut(std::uint64_t crash_seed) const;
    /// What a killed server leaves: all that has completed is there.
    void check_after_kill() const;

    Shape shape;
    std::shared_ptr<MemoryDevice> memory;
    std::shared_ptr<CrashDevice> disk;
    std::shared_ptr<WholeSectors> sectors;
    std::shared_ptr<FaultDevice> faults;
    std::shared_ptr<Shuffled> file;
    std::shared_ptr<MemoryDevice> backing;
    std::shared_ptr<Image> image;
    std::uint64_t failures = 0;  ///< requests that ended with an error
    bool may_fail = false;

 private:
    /// What a sector may hold after a crash, oldest first; the last one completed is what a read finds.
    struct Sector {
        std::vector<Stamp> values;
        std::size_t current = 0;  ///< index of what a read finds; later ones are under way or have failed
    };
    class Request;

    [[nodiscard]] std::shared_ptr<Image> open(std::shared_ptr<BlockDevice> below, const std::filesystem::path& journal,
                                              bool read_only) const;
    void make_image();
    void completed(Request& request);
    void settle(std::uint64_t sector, Stamp stamp, bool failed);
    void check_sound(BlockDevice& below, Image& opened) const;
    void check_disk(Image& opened, const std::function<bool(std::uint64_t sector, Stamp found)>& is_right) const;
    [[nodiscard]] std::shared_ptr<MemoryDevice> device_of(std::vector<std::byte> contents) const;

    std::mt19937_64 random_;
    std::filesystem::path journal_;
    std::vector<Sector> sectors_;
    std::vector<bool> under_way_;
    std::vector<std::unique_ptr<Request>> requests_;
    Stamp next_stamp_ = 1000000;
};

}  // namespace diskless::storage::qcow2
