// DiskLibrary: what administrators order.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <stdexcept>
#include <thread>

#include "common/log.hpp"
#include "common/text.hpp"
#include "config/names.hpp"
#include "disklessd/disk_copy.hpp"
#include "disklessd/disk_library.hpp"
#include "disklessd/importing/disk_file.hpp"
#include "storage/blocking.hpp"

namespace diskless {
namespace {

namespace fs = std::filesystem;
using boot::DiskMode;
using boot::DiskStatus;
using boot::OrRefusal;
using boot::Refusal;
using boot::SnapshotRecord;
using Kind = boot::Refusal::Kind;

constexpr std::uint64_t stat_block_bytes = 512;
/// For a machine that uses a disk to show that it is there.
constexpr std::chrono::seconds probe_patience{3};
constexpr std::chrono::milliseconds look_again{50};

boot::Instant now() { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

std::unexpected<Refusal> refuse(Kind kind, std::string text) { return std::unexpected{Refusal{kind, std::move(text)}}; }

std::unexpected<Refusal> no_such_disk(std::string_view owner, unsigned lun) {
    return refuse(Kind::not_found, fmt::format("{} has no disk at LUN {}; diskless disk list shows what there is", escaped(owner), lun));
}

std::unexpected<Refusal> no_such_snapshot(const std::pair<std::string, std::uint16_t>& disk, std::string_view name) {
    return refuse(Kind::not_found, fmt::format("{} lun {} has no snapshot {}; diskless disk show {} lists them", disk.first, disk.second,
                                               escaped(name), disk.first));
}

std::uint64_t stored_bytes(const fs::path& file) noexcept {
    struct stat status{};
    return ::stat(file.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * stat_block_bytes : 0;
}

void sync_or_throw(storage::BlockDevice& device) {
    if (const auto error = storage::flush_now(device)) throw std::runtime_error{fmt::format("disk {}: {}", device.name(), error.message())};
}

}  // namespace

/// One order: nobody else makes, opens or closes files meanwhile, and what goes wrong becomes a refusal.
class DiskLibrary::Order {
 public:
    explicit Order(DiskLibrary& library) : working_{library.working_} {}
    template<class F>
    auto run(const F& work) -> decltype(work()) {
        try {
            return work();
        } catch (const std::exception& e) {
            return refuse(Kind::failed, e.what());
        }
    }

 private:
    std::lock_guard<std::mutex> working_;
};

DiskStatus DiskLibrary::status_of(const Key& key, const Place& place) const {
    DiskStatus status{.owner = key.first, .lun = key.second, .mode = place.disk.mode, .in_use = !place.lent.expired()};
    if (const auto* image = std::get_if<boot::ImageSource>(&place.disk.source)) {
        status.image = image->image.substr(0, image->image.find('@'));
        if (const auto wanted = wanted_version(place.disk)) {
            status.published = wanted->number;
            status.size_bytes = wanted->size_bytes;
            if (!has_overlay(place.disk)) status.version = wanted->number;
        }
    } else if (const auto* blank = std::get_if<boot::BlankSource>(&place.disk.source)) {
        status.size_bytes = blank->size_bytes;
    } else {
        status.file = std::get<boot::FileSource>(place.disk.source).path;
        status.used_bytes = stored_bytes(under_data_dir(status.file));
    }
    if (place.kept) {
        status.size_bytes = place.kept->geometry().size_bytes;
        status.in_use = place.kept.use_count() > 1;
    }
    if (!place.record) return status;
    status.file = place.record->file;
    status.version = place.record->version;
    status.size_bytes = place.record->size_bytes;
    status.editing = place.disk.mode == DiskMode::ephemeral && place.record->mode == DiskMode::persistent;
    status.used_bytes = stored_bytes(under_data_dir(status.file));
    return status;
}

// Asks the store, so without the mutex.
DiskStatus DiskLibrary::with_snapshots(DiskStatus status) const {
    status.snapshots = store_.snapshots(status.owner, status.lun);
    std::ranges::sort(status.snapshots, {}, &SnapshotRecord::created);
    for (const SnapshotRecord& snapshot : status.snapshots) status.used_bytes += stored_bytes(under_data_dir(snapshot.file));
    return status;
}

std::vector<DiskStatus> DiskLibrary::disks() {
    std::vector<DiskStatus> all;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [key, place] : places_) all.push_back(status_of(key, place));
    }
    for (DiskStatus& status : all) status = with_snapshots(std::move(status));
    return all;
}

OrRefusal<DiskStatus> DiskLibrary::disk(const std::string& owner, std::uint16_t lun) {
    std::optional<DiskStatus> status;
    {
        const std::lock_guard lock{mutex_};
        if (const auto place = places_.find({owner, lun}); place != places_.end()) status = status_of(place->first, place->second);
    }
    if (!status) return no_such_disk(owner, lun);
    return with_snapshots(std::move(*status));
}

OrRefusal<DiskLibrary::Place*> DiskLibrary::place_for(const Key& key, bool idle) {
    const std::lock_guard lock{mutex_};
    const auto found = places_.find(key);
    if (found == places_.end()) return no_such_disk(key.first, key.second);
    Place& place = found->second;
    if (!has_overlay(place.disk))
        return refuse(
            Kind::conflict,
            fmt::format("{} lun {} is {}; only disks of an image or blank ones are made and changed here", key.first, key.second,
                        std::holds_alternative<boot::FileSource>(place.disk.source) ? "a file of its own" : name_of(place.disk.mode)));
    if (!place.busy.empty()) return refuse(Kind::conflict, place.busy);
    if (idle && !place.lent.expired())
        return refuse(Kind::conflict, fmt::format("{} uses lun {}; switch the machine off first, or end its session: diskless sessions",
                                                  key.first, key.second));
    return &place;
}

bool DiskLibrary::in_use(const Key& key) const {
    const std::lock_guard lock{mutex_};
    const auto place = places_.find(key);
    return place != places_.end() && !place->second.lent.expired();
}

void DiskLibrary::let_go(const Key& key) {
    if (in_use(key)) {
        hooks_.probe(key.first, probe_patience);
        const auto until = std::chrono::steady_clock::now() + 2 * probe_patience;
        while (in_use(key) && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(look_again);
    }
    std::promise<void> closed;
    asio::post(worker_, [&closed] { closed.set_value(); });
    closed.get_future().wait();
}

OrRefusal<DiskStatus> DiskLibrary::create(const std::string& owner, std::uint16_t lun) {
    Order order{*this};
    return order.run([&]() -> OrRefusal<DiskStatus> {
        const Key key{owner, lun};
        const auto place = place_for(key, false);
        if (!place) return std::unexpected{place.error()};
        if ((*place)->record && fs::exists(under_data_dir((*place)->record->file)))
            return refuse(Kind::conflict, fmt::format("{} lun {} has a disk already; diskless disk reset begins anew", owner, lun));
        make(key, **place);
        return with_snapshots(status_of(key, **place));
    });
}

OrRefusal<DiskStatus> DiskLibrary::reset(const std::string& owner, std::uint16_t lun, bool force) {
    if (!force) let_go({owner, lun});
    OrRefusal<DiskStatus> answer;
    {
        Order order{*this};
        answer = order.run([&]() -> OrRefusal<DiskStatus> {
            const Key key{owner, lun};
            const auto place = place_for(key, !force);
            if (!place) return std::unexpected{place.error()};
            begin_anew(key, **place);
            return with_snapshots(status_of(key, **place));
        });
    }
    if (answer) hooks_.changed();
    return answer;
}

OrRefusal<DiskStatus> DiskLibrary::edit(const std::string& owner, std::uint16_t lun) {
    let_go({owner, lun});
    Order order{*this};
    return order.run([&]() -> OrRefusal<DiskStatus> {
        const Key key{owner, lun};
        const auto place = place_for(key, true);
        if (!place) return std::unexpected{place.error()};
        Place& disk = **place;
        if (!std::holds_alternative<boot::ImageSource>(disk.disk.source))
            return refuse(Kind::conflict, fmt::format("{} lun {} is no disk of an image", owner, lun));
        begin_anew(key, disk);
        disk.record->mode = DiskMode::persistent;
        store_.put(*disk.record);
        return with_snapshots(status_of(key, disk));
    });
}

OrRefusal<DiskStatus> DiskLibrary::resize(const std::string& owner, std::uint16_t lun, std::uint64_t size_bytes) {
    let_go({owner, lun});
    Order order{*this};
    return order.run([&]() -> OrRefusal<DiskStatus> {
        const Key key{owner, lun};
        const auto place = place_for(key, true);
        if (!place) return std::unexpected{place.error()};
        Place& disk = **place;
        if (size_bytes % 4096 != 0) return refuse(Kind::wrong, "the size has to be a multiple of 4 KiB");
        if (!disk.record) make(key, disk);
        if (size_bytes < disk.record->size_bytes)
            return refuse(Kind::wrong, fmt::format("the disk has {} bytes; it can only become larger", disk.record->size_bytes));
        if (disk.disk.mode == DiskMode::ephemeral && disk.record->mode == DiskMode::ephemeral)
            return refuse(Kind::conflict,
                          "an ephemeral disk is as large as its image at every boot; resize the image's disk while it is edited");
        if (!disk.overlay) open_file(disk);
        const auto image = disk.image.lock();
        if (const auto error = image->grow(size_bytes)) throw std::runtime_error{error.message()};
        disk.record->size_bytes = size_bytes;
        store_.put(*disk.record);
        close(disk);  // its geometry is another one from the next login on
        return with_snapshots(status_of(key, disk));
    });
}

// The disk's file becomes `to`, and the disk goes on in a new file that stands on it. Open or not, used or not.
void DiskLibrary::freeze(Place& place, const fs::path& to) {
    const fs::path path = under_data_dir(place.record->file);
    const auto look = DiskFiles::Look::of(place.disk);
    const fs::path image_path = image_path_of(*place.record);
    if (!place.overlay) open_file(place);
    std::string failure;
    std::shared_ptr<storage::qcow2::Image> fresh;
    place.overlay->replace([&](std::shared_ptr<storage::BlockDevice> old) -> std::shared_ptr<storage::BlockDevice> {
        auto image = std::dynamic_pointer_cast<storage::qcow2::Image>(std::move(old));
        image->quiesce();
        const std::uint64_t size_bytes = image->header().size_bytes;
        if (const auto error = storage::flush_now(*image)) failure = error.message();
        image.reset();  // closed: its journal is empty
        try {
            if (failure.empty()) {
                fs::remove(to);
                fs::create_hard_link(path, to);
                const DiskFiles::Base frozen{.path = to, .format = boot::DiskFormat::qcow2};
                files_.create_overlay(path, size_bytes, &frozen);
            }
        } catch (const std::exception& e) {
            failure = e.what();
        }
        return fresh = files_.open_overlay(path, look, image_path);
    });
    {
        const std::lock_guard lock{mutex_};
        place.image = fresh;
    }
    fresh.reset();
    if (!failure.empty()) throw std::runtime_error{failure};
}

OrRefusal<DiskStatus> DiskLibrary::snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) {
    Order order{*this};
    return order.run([&]() -> OrRefusal<DiskStatus> {
        const Key key{owner, lun};
        const auto place = place_for(key, false);
        if (!place) return std::unexpected{place.error()};
        Place& disk = **place;
        if (!config::is_name(name))
            return refuse(Kind::wrong, fmt::format("\"{}\" is no name for a snapshot: letters, digits, '-', '_' and '.'", escaped(name)));
        if (disks_refused_.load()) return refuse(Kind::failed, "there is too little space for a snapshot; free some, or add some");
        for (const SnapshotRecord& other : store_.snapshots(owner, lun)) {
            if (other.name == name) return refuse(Kind::conflict, fmt::format("{} lun {} has a snapshot {} already", owner, lun, name));
        }
        if (!disk.record) make(key, disk);
        const fs::path file = path_of(key, name);
        freeze(disk, file);
        store_.put(SnapshotRecord{.owner = owner, .lun = lun, .name = name, .file = fs::relative(file, data_dir_), .created = now()});
        log::info("disk.snapshot", "disk={} name={}", disk.record->file.string(), name);
        if (disk.lent.expired()) close(disk);
        return with_snapshots(status_of(key, disk));
    });
}

OrRefusal<DiskStatus> DiskLibrary::revert(const std::string& owner, std::uint16_t lun, const std::string& name, bool force) {
    if (!force) let_go({owner, lun});
    OrRefusal<DiskStatus> answer;
    {
        Order order{*this};
        answer = order.run([&]() -> OrRefusal<DiskStatus> {
            const Key key{owner, lun};
            const auto place = place_for(key, !force);
            if (!place) return std::unexpected{place.error()};
            Place& disk = **place;
            const auto snapshots = store_.snapshots(owner, lun);
            const auto wanted = std::ranges::find(snapshots, name, &SnapshotRecord::name);
            if (wanted == snapshots.end()) return no_such_snapshot(key, name);
            close(disk);
            const DiskFiles::Base base{.path = under_data_dir(wanted->file), .format = boot::DiskFormat::qcow2};
            const std::uint64_t size_bytes = files_.open_shared(base, {}, image_path_of(*disk.record))->geometry().size_bytes;
            files_.create_overlay(under_data_dir(disk.record->file), size_bytes, &base);
            drop_snapshots(key, [&](const SnapshotRecord& other) { return other.created > wanted->created; });
            disk.record->size_bytes = size_bytes;
            store_.put(*disk.record);
            log::info("disk.reverted", "disk={} to={}", disk.record->file.string(), name);
            return with_snapshots(status_of(key, disk));
        });
    }
    if (answer) hooks_.changed();
    return answer;
}

OrRefusal<DiskStatus> DiskLibrary::remove_snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) {
    const Key key{owner, lun};
    let_go(key);
    fs::path above, below, image_path;
    {
        Order order{*this};
        auto begun = order.run([&]() -> OrRefusal<bool> {
            const auto place = place_for(key, true);
            if (!place) return std::unexpected{place.error()};
            Place& disk = **place;
            auto snapshots = store_.snapshots(owner, lun);
            std::ranges::sort(snapshots, {}, &SnapshotRecord::created);
            const auto wanted = std::ranges::find(snapshots, name, &SnapshotRecord::name);
            if (wanted == snapshots.end()) return no_such_snapshot(key, name);
            const auto next = std::next(wanted);
            above = under_data_dir(next == snapshots.end() ? disk.record->file : next->file);
            below = under_data_dir(wanted->file);
            image_path = image_path_of(*disk.record);
            close(disk);
            disk.busy = fmt::format("{} lun {}: its snapshot {} is being merged; wait for it", owner, lun, name);
            return true;
        });
        if (!begun) return std::unexpected{begun.error()};
    }
    // As long as it takes to copy what the snapshot holds; everybody else goes on meanwhile.
    std::string failure;
    try {
        const auto upper = files_.open_overlay(above, {}, image_path);
        const auto lower = std::dynamic_pointer_cast<storage::qcow2::Image>(
            files_.open_shared({.path = below, .format = boot::DiskFormat::qcow2}, {}, image_path));
        merge(*lower, *upper);
        sync_or_throw(*upper);
        if (const auto error = upper->stand_on(lower->header().backing_name, lower->header().backing_format))
            throw std::runtime_error{error.message()};
    } catch (const std::exception& e) {
        failure = e.what();
    }
    Order order{*this};
    return order.run([&]() -> OrRefusal<DiskStatus> {
        const Place* place = no_longer_busy(key);
        if (!failure.empty()) return refuse(Kind::failed, failure);
        store_.remove_snapshot(owner, lun, name);
        DiskFiles::remove(below);
        log::info("disk.snapshot_merged", "disk=\"{} lun {}\" name={}", owner, lun, name);
        if (place == nullptr) return no_such_disk(owner, lun);
        return with_snapshots(status_of(key, *place));
    });
}

// The catalog may have changed meanwhile.
DiskLibrary::Place* DiskLibrary::no_longer_busy(const Key& key) {
    const std::lock_guard lock{mutex_};
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    found->second.busy.clear();
    return &found->second;
}

OrRefusal<unsigned> DiskLibrary::publish(const std::string& owner, std::uint16_t lun, const std::string& description) {
    let_go({owner, lun});
    const Key key{owner, lun};
    Place* place = nullptr;
    std::shared_ptr<storage::BlockDevice> source;
    boot::ImageVersion version;
    std::string image;
    {
        Order order{*this};
        auto begun = order.run([&]() -> OrRefusal<unsigned> {
            const auto found = place_for(key, true);
            if (!found) return std::unexpected{found.error()};
            place = *found;
            if (!place->record || place->record->image.empty())
                return refuse(
                    Kind::conflict,
                    fmt::format("{} lun {} is no disk of an image that anything was written to; begin with: diskless disk edit {}", owner,
                                lun, owner));
            image = place->record->image;
            close(*place);
            source = files_.open_shared({.path = under_data_dir(place->record->file), .format = boot::DiskFormat::qcow2}, {},
                                        image_path_of(*place->record));
            version.number = images_.reserve_number(image);
            place->busy = fmt::format("{} lun {} is being published as {}@{}; wait for it", owner, lun, image, version.number);
            return version.number;
        });
        if (!begun) return begun;
    }
    // Minutes for a large disk; everybody else goes on meanwhile.
    std::string failure;
    try {
        version.file = ImageLibrary::file_of(image, version.number, boot::DiskFormat::raw);
        const fs::path path = data_dir_ / version.file, unfinished = path.string() + ".new";
        fs::create_directories(path.parent_path());
        fs::remove(unfinished);
        const Copied copied = copy_to_raw(*source, unfinished);
        fs::rename(unfinished, path);
        importing::sync_folder(path.parent_path());
        version.size_bytes = copied.size_bytes;
        version.digest = copied.digest;
        version.description = description;
        version.created = now();
        version.source = fmt::format("disk {} lun {}", owner, lun);
        images_.add_version(image, version, true);
    } catch (const std::exception& e) {
        failure = e.what();
    }
    source.reset();
    Order order{*this};
    return order.run([&]() -> OrRefusal<unsigned> {
        place = no_longer_busy(key);
        if (!failure.empty()) return refuse(Kind::failed, failure);
        log::info("image.published", "version={}@{} from=\"{} lun {}\"", image, version.number, owner, lun);
        // The new version holds what the disk held. One with snapshots keeps its chain.
        if (place != nullptr && store_.snapshots(owner, lun).empty()) begin_anew(key, *place);
        return version.number;
    });
}

OrRefusal<std::uint64_t> DiskLibrary::export_disk(const std::string& owner, std::uint16_t lun, const std::string& snapshot,
                                                  const fs::path& to, boot::DiskFormat format) {
    if (snapshot.empty()) let_go({owner, lun});
    std::shared_ptr<storage::BlockDevice> source;
    {
        Order order{*this};
        auto begun = order.run([&]() -> OrRefusal<std::uint64_t> {
            const auto found = place_for({owner, lun}, snapshot.empty());
            if (!found) return std::unexpected{found.error()};
            Place* const place = *found;
            if (!to.is_absolute()) return refuse(Kind::wrong, "the path to export to has to be absolute");
            if (fs::exists(to)) return refuse(Kind::conflict, fmt::format("{} is there already; name another file", to.string()));
            if (!place->record) return refuse(Kind::conflict, fmt::format("{} lun {} has no disk yet", owner, lun));
            fs::path file = place->record->file;
            if (!snapshot.empty()) {
                const auto snapshots = store_.snapshots(owner, lun);
                const auto wanted = std::ranges::find(snapshots, snapshot, &SnapshotRecord::name);
                if (wanted == snapshots.end()) return no_such_snapshot({owner, lun}, snapshot);
                file = wanted->file;
            } else {
                close(*place);
                place->busy = fmt::format("{} lun {} is being exported; wait for it", owner, lun);
            }
            source =
                files_.open_shared({.path = under_data_dir(file), .format = boot::DiskFormat::qcow2}, {}, image_path_of(*place->record));
            return source->geometry().size_bytes;
        });
        if (!begun) return begun;
    }
    OrRefusal<std::uint64_t> answer;
    try {
        if (format == boot::DiskFormat::raw) {
            answer = copy_to_raw(*source, to).size_bytes;
        } else {
            files_.create_overlay(to, source->geometry().size_bytes, nullptr);
            {
                const auto image = files_.open_overlay(to, {});
                copy_to_image(*source, *image);
            }
            fs::remove(DiskFiles::journal_of(to));
            answer = source->geometry().size_bytes;
        }
    } catch (const std::exception& e) {
        std::error_code ignored;
        fs::remove(to, ignored);
        answer = refuse(Kind::failed, e.what());
    }
    source.reset();
    if (snapshot.empty()) (void)no_longer_busy({owner, lun});
    return answer;
}

}  // namespace diskless
