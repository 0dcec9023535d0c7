// DiskLibrary: the disks behind every target: made when they are first needed, opened while somebody uses them, changed on order. Files and
// read-only images are opened at start (so that a missing or locked file is told before anyone boots) and stay open.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "boot/catalog.hpp"
#include "boot/disk.hpp"
#include "common/asio.hpp"
#include "disklessd/boot_sets.hpp"
#include "disklessd/disk_files.hpp"
#include "disklessd/image_library.hpp"
#include "storage/switch.hpp"

namespace diskless {

/// A LUN that is ready to be served.
struct OpenDisk {
    boot::Disk disk;
    std::shared_ptr<storage::BlockDevice> device;
};

class DiskLibrary final : public boot::DiskControl {
 public:
    /// Called from any thread.
    struct Hooks {
        std::function<void()> changed;  ///< the disks of an owner are other ones than they were
        /// Whoever uses the disks of `owner` and does not answer has gone.
        std::function<void(const std::string& owner, std::chrono::milliseconds patience)> probe;
        std::function<void(BootSets::Version)> boots;  ///< a machine begins to boot from it
    };
    DiskLibrary(std::filesystem::path data_dir, std::shared_ptr<storage::Backend> backend, ImageLibrary& images, boot::DiskStore& store,
                Hooks hooks);
    /// What is open is closed: after the last session.
    ~DiskLibrary() override;
    DiskLibrary(const DiskLibrary&) = delete;
    DiskLibrary& operator=(const DiskLibrary&) = delete;

    /// Takes over what the catalog names. Blocks: for start-up and reload. Returns one line for every disk that cannot be served; the
    /// others are.
    std::vector<std::string> open(const boot::Catalog& catalog);

    /// The disks of the target called `name` (a client's or a declared target's) for somebody who logs in, in the order of their LUNs; what
    /// cannot be served is logged and left out. `boots`: it is firmware, so ephemeral disks begin anew. Blocks.
    [[nodiscard]] std::vector<OpenDisk> disks_for(const std::string& name, bool boots);
    /// The same where nothing has to be waited for; nothing: ask disks_for().
    [[nodiscard]] std::optional<std::vector<OpenDisk>> ready(const std::string& name, bool boots);
    /// A machine has fetched the script that boots its kernel: the system that logs in within some minutes begins anew.
    void expect_boot(const std::string& name);
    /// Writes what open disks have in memory; now and then, so that little is to be done after a crash. Any thread.
    void tidy();
    /// Where disks_for() may run.
    [[nodiscard]] asio::any_io_executor executor() { return worker_.get_executor(); }
    /// Whether new disks and snapshots are refused, and writes that need new space (they fail with ENOSPC).
    void set_space_short(bool disks_refused, bool writes_refused);

    [[nodiscard]] std::vector<boot::DiskStatus> disks() override;
    [[nodiscard]] boot::OrRefusal<boot::DiskStatus> disk(const std::string& owner, std::uint16_t lun) override;
    boot::OrRefusal<boot::DiskStatus> create(const std::string& owner, std::uint16_t lun) override;
    boot::OrRefusal<boot::DiskStatus> reset(const std::string& owner, std::uint16_t lun, bool force) override;
    boot::OrRefusal<boot::DiskStatus> resize(const std::string& owner, std::uint16_t lun, std::uint64_t size_bytes) override;
    boot::OrRefusal<boot::DiskStatus> edit(const std::string& owner, std::uint16_t lun) override;
    boot::OrRefusal<unsigned> publish(const std::string& owner, std::uint16_t lun, const std::string& description) override;
    boot::OrRefusal<boot::DiskStatus> snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) override;
    boot::OrRefusal<boot::DiskStatus> revert(const std::string& owner, std::uint16_t lun, const std::string& name, bool force) override;
    boot::OrRefusal<boot::DiskStatus> remove_snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) override;
    boot::OrRefusal<std::uint64_t> export_disk(const std::string& owner, std::uint16_t lun, const std::string& snapshot,
                                               const std::filesystem::path& to, boot::DiskFormat format) override;

 private:
    using Key = std::pair<std::string, std::uint16_t>;  ///< owner and LUN
    struct Place {
        boot::Disk disk;
        std::optional<boot::DiskRecord> record;  ///< of an overlay
        std::shared_ptr<storage::BlockDevice> kept;
        std::shared_ptr<storage::SwitchDevice> overlay;  ///< open
        std::weak_ptr<storage::qcow2::Image> image;      ///< what `overlay` leads to
        std::weak_ptr<storage::BlockDevice> lent;
        std::string busy;  ///< what is being done to it that nobody may disturb
    };
    class Order;

    [[nodiscard]] static bool has_overlay(const boot::Disk& disk) noexcept;
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_kept(const boot::Disk& disk);
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> open_overlay(const Key& key, Place& place, bool boots);
    void tell_of_boot(const Place& place);
    void make(const Key& key, Place& place);
    void open_file(Place& place);
    void close(Place& place);
    [[nodiscard]] bool boot_expected(std::string_view name);
    [[nodiscard]] std::shared_ptr<storage::BlockDevice> lend(const Key& key, Place& place);
    void returned(const Key& key, std::shared_ptr<storage::SwitchDevice> device);
    [[nodiscard]] bool must_begin_anew(const Place& place) const;
    [[nodiscard]] std::expected<ImageFile, std::string> wanted_version(const boot::Disk& disk) const;
    /// Of the version it stands on; empty: on none.
    [[nodiscard]] std::filesystem::path image_path_of(const boot::DiskRecord& record) const;
    [[nodiscard]] std::filesystem::path path_of(const Key& key, std::string_view snapshot = {}) const;
    [[nodiscard]] std::filesystem::path under_data_dir(const std::filesystem::path& path) const;
    [[nodiscard]] boot::DiskStatus status_of(const Key& key, const Place& place) const;
    [[nodiscard]] boot::DiskStatus with_snapshots(boot::DiskStatus status) const;
    /// Waits for a machine that was just switched off, and for its disk to be closed. Not on the worker's thread.
    void let_go(const Key& key);
    [[nodiscard]] bool in_use(const Key& key) const;
    Place* no_longer_busy(const Key& key);
    /// The place for an order, or why there is none; `idle`: nobody may use it.
    [[nodiscard]] boot::OrRefusal<Place*> place_for(const Key& key, bool idle);
    void begin_anew(const Key& key, Place& place);
    void drop_snapshots(const Key& key, const std::function<bool(const boot::SnapshotRecord&)>& which);
    void freeze(Place& place, const std::filesystem::path& to);

    const std::filesystem::path data_dir_;
    DiskFiles files_;
    ImageLibrary& images_;
    boot::DiskStore& store_;
    const Hooks hooks_;
    std::atomic<bool> disks_refused_{false};
    std::mutex working_;        ///< files are made, opened, closed by one at a time; taken before mutex_
    mutable std::mutex mutex_;  ///< of what follows
    std::map<Key, Place> places_;
    std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> expected_boots_;  ///< until when
    asio::thread_pool worker_{1};                                                               // last: closes disks
};

}  // namespace diskless
