// Disks for whoever asks and orders: the API. disklessd's disk library implements it.
#pragma once

#include "boot/image.hpp"

namespace diskless::boot {

/// A disk that a client or a declared target sees as a LUN, as it is now.
struct DiskStatus {
    std::string owner;
    std::uint16_t lun = 0;
    DiskMode mode = DiskMode::persistent;
    std::string image;           ///< empty: it stands on none
    unsigned version = 0;        ///< of that image, that its file stands on; 0: no file yet
    unsigned published = 0;      ///< what it would get if it were made now
    std::filesystem::path file;  ///< relative to the data directory where it lies there; empty: none yet
    std::uint64_t size_bytes = 0;
    std::uint64_t used_bytes = 0;           ///< what its files take, snapshots included
    bool in_use = false;                    ///< somebody is logged in
    bool editing = false;                   ///< a super client's: it keeps what it writes until that is published or reset
    std::vector<SnapshotRecord> snapshots;  ///< the oldest first
};

class DiskControl {
 public:
    virtual ~DiskControl() = default;
    [[nodiscard]] virtual std::vector<DiskStatus> disks() = 0;
    [[nodiscard]] virtual OrRefusal<DiskStatus> disk(const std::string& owner, std::uint16_t lun) = 0;
    /// Makes its file now instead of at the first login.
    virtual OrRefusal<DiskStatus> create(const std::string& owner, std::uint16_t lun) = 0;
    /// Forgets all that was written, snapshots too: it begins with the published version again. `force`: though somebody uses it.
    virtual OrRefusal<DiskStatus> reset(const std::string& owner, std::uint16_t lun, bool force) = 0;
    /// Larger only.
    virtual OrRefusal<DiskStatus> resize(const std::string& owner, std::uint16_t lun, std::uint64_t size_bytes) = 0;
    /// The next boot begins with the published version and keeps what it writes: a super client.
    virtual OrRefusal<DiskStatus> edit(const std::string& owner, std::uint16_t lun) = 0;
    /// What the disk holds becomes the next version of its image; the disk begins anew with that. The number.
    virtual OrRefusal<unsigned> publish(const std::string& owner, std::uint16_t lun, const std::string& description) = 0;

    virtual OrRefusal<DiskStatus> snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) = 0;
    /// Forgets what was written since then, later snapshots too.
    virtual OrRefusal<DiskStatus> revert(const std::string& owner, std::uint16_t lun, const std::string& name, bool force) = 0;
    /// What it holds goes to whoever stands on it.
    virtual OrRefusal<DiskStatus> remove_snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) = 0;
    /// Writes the disk, or a snapshot of it (name not empty), as a file of its own.
    virtual OrRefusal<std::uint64_t> export_disk(const std::string& owner, std::uint16_t lun, const std::string& snapshot,
                                                 const std::filesystem::path& to, DiskFormat format) = 0;
};

}  // namespace diskless::boot
