#include "disklessd/disk_library.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "common/log.hpp"
#include "common/text.hpp"
#include "storage/blocking.hpp"

namespace diskless {
namespace {

namespace fs = std::filesystem;
using boot::DiskMode;
using boot::DiskRecord;

/// From the script to the login of the system.
constexpr std::chrono::minutes boot_limit{10};

boot::Instant now() { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

}  // namespace

DiskLibrary::DiskLibrary(fs::path data_dir, std::shared_ptr<storage::Backend> backend, ImageLibrary& images, boot::DiskStore& store,
                         Hooks hooks)
    : data_dir_{std::move(data_dir)}, files_{data_dir_, std::move(backend)}, images_{images}, store_{store}, hooks_{std::move(hooks)} {}

DiskLibrary::~DiskLibrary() {
    worker_.join();
    places_.clear();
}

fs::path DiskLibrary::under_data_dir(const fs::path& path) const { return path.is_absolute() ? path : data_dir_ / path; }

fs::path DiskLibrary::path_of(const Key& key, std::string_view snapshot) const {
    return data_dir_ / "disks" / key.first /
           (snapshot.empty() ? fmt::format("lun{}.qcow2", key.second) : fmt::format("lun{}.{}.qcow2", key.second, snapshot));
}

// Everything that is written and is not simply a file the administrator named.
bool DiskLibrary::has_overlay(const boot::Disk& disk) noexcept {
    if (std::holds_alternative<boot::FileSource>(disk.source)) return false;
    return disk.mode == DiskMode::persistent || disk.mode == DiskMode::ephemeral || std::holds_alternative<boot::BlankSource>(disk.source);
}

std::expected<ImageFile, std::string> DiskLibrary::wanted_version(const boot::Disk& disk) const {
    return images_.resolve(std::get<boot::ImageSource>(disk.source).image);
}

// --- what the catalog names -------------------------------------------------------------------------------------------------------------

std::vector<std::string> DiskLibrary::open(const boot::Catalog& catalog) {
    std::vector<std::string> failures;
    const std::lock_guard working{working_};
    std::map<Key, DiskRecord> records;
    for (DiskRecord& record : store_.disks()) records.emplace(Key{record.owner, record.lun}, std::move(record));
    std::map<Key, Place> fresh;
    const auto take = [&](const std::string& owner, const std::vector<boot::Disk>& disks) {
        for (const boot::Disk& disk : disks) {
            const Key key{owner, disk.lun};
            Place place;
            {
                const std::lock_guard lock{mutex_};
                if (const auto before = places_.find(key); before != places_.end()) place = before->second;
            }
            // Another look or another source: whoever uses it now keeps what they have.
            if (place.disk != disk) place = {.record = std::move(place.record)};
            place.disk = disk;
            if (const auto record = records.find(key); record != records.end()) place.record = record->second;
            try {
                // An image may get its first version later.
                if (std::holds_alternative<boot::ImageSource>(disk.source)) {
                    if (const auto version = wanted_version(disk); !version && !place.record)
                        log::warn("disk.without_image", "disk=\"{} lun {}\" because=\"{}\"", owner, disk.lun, version.error());
                } else if (!has_overlay(disk) && !place.kept) {
                    place.kept = open_kept(disk);
                }
                fresh.emplace(key, std::move(place));
            } catch (const std::exception& e) {
                failures.push_back(fmt::format("{} lun {}: {}", owner, disk.lun, e.what()));
            }
        }
    };
    for (const boot::Client& client : catalog.clients()) take(client.name, client.disks);
    for (const boot::Target& target : catalog.targets()) take(target.name, target.luns);
    const std::lock_guard lock{mutex_};
    places_.swap(fresh);
    return failures;
}

std::shared_ptr<storage::BlockDevice> DiskLibrary::open_kept(const boot::Disk& disk) {
    const auto look = DiskFiles::Look::of(disk);
    if (const auto* image = std::get_if<boot::ImageSource>(&disk.source)) {
        const auto version = images_.resolve(image->image);
        if (!version) throw std::runtime_error{version.error()};
        return files_.open_shared({.path = version->path, .format = version->format}, look);
    }
    const auto& source = std::get<boot::FileSource>(disk.source);
    const fs::path path = under_data_dir(source.path);
    if (!source.path.is_absolute()) fs::create_directories(path.parent_path());
    // By the name that the administrator gave it: what a guest writes into a raw disk never makes it anything else.
    const auto format = path.extension() == ".qcow2" ? boot::DiskFormat::qcow2 : boot::DiskFormat::raw;
    if (disk.mode == DiskMode::read_only) return files_.open_shared({.path = path, .format = format}, look);
    if (format == boot::DiskFormat::raw) return files_.open_raw(path, look, source.size_bytes);
    if (source.size_bytes != 0 && !fs::exists(path)) files_.create_overlay(path, source.size_bytes, nullptr);
    return files_.open_overlay(path, look);
}

// --- logins -----------------------------------------------------------------------------------------------------------------------------

void DiskLibrary::expect_boot(const std::string& name) {
    const std::lock_guard lock{mutex_};
    expected_boots_[name] = std::chrono::steady_clock::now() + boot_limit;
}

bool DiskLibrary::boot_expected(std::string_view name) {
    const auto expected = expected_boots_.find(name);
    return expected != expected_boots_.end() && std::chrono::steady_clock::now() < expected->second;
}

std::optional<std::vector<OpenDisk>> DiskLibrary::ready(const std::string& name, bool boots) {
    const std::lock_guard lock{mutex_};
    std::vector<OpenDisk> disks;
    for (auto place = places_.lower_bound({name, 0}); place != places_.end() && place->first.first == name; ++place) {
        const bool overlay = has_overlay(place->second.disk);
        // Now is when there may be another version, or a disk that begins anew.
        if (std::holds_alternative<boot::ImageSource>(place->second.disk.source) && (boots || boot_expected(name))) return std::nullopt;
        auto device = overlay ? place->second.lent.lock() : place->second.kept;
        if (!device) return std::nullopt;
        disks.push_back({place->second.disk, std::move(device)});
    }
    return disks;
}

std::vector<OpenDisk> DiskLibrary::disks_for(const std::string& name, bool boots) {
    const std::lock_guard working{working_};
    std::vector<std::pair<Key, Place*>> places;
    {
        const std::lock_guard lock{mutex_};
        boots = boots || boot_expected(name);
        expected_boots_.erase(name);
        for (auto place = places_.lower_bound({name, 0}); place != places_.end() && place->first.first == name; ++place)
            places.emplace_back(place->first, &place->second);
    }
    std::vector<OpenDisk> disks;
    for (const auto& [key, place] : places) {
        try {
            if (has_overlay(place->disk)) {
                disks.push_back({place->disk, open_overlay(key, *place, boots)});
                if (boots) tell_of_boot(*place);
                continue;
            }
            // Who reads an image's version reads the same one until the machine boots again.
            if (!place->kept || (boots && std::holds_alternative<boot::ImageSource>(place->disk.source))) {
                auto device = open_kept(place->disk);
                const std::lock_guard lock{mutex_};
                place->kept = std::move(device);
            }
            disks.push_back({place->disk, place->kept});
            if (boots) tell_of_boot(*place);
        } catch (const std::exception& e) {
            log::error("disk.unavailable", "disk=\"{} lun {}\" because=\"{}\"", key.first, key.second, e.what());
        }
    }
    return disks;
}

void DiskLibrary::tell_of_boot(const Place& place) {
    if (!hooks_.boots || !std::holds_alternative<boot::ImageSource>(place.disk.source)) return;
    const auto version =
        place.record ? images_.resolve(fmt::format("{}@{}", place.record->image, place.record->version)) : wanted_version(place.disk);
    if (!version) return;
    auto chain = files_.chain_of(version->path);
    if (chain.empty()) return;
    hooks_.boots({.name = fmt::format("{}@{}", version->image, version->number),
                  .file = data_dir_ / ImageLibrary::boot_set_of(version->image, version->number),
                  .chain = std::move(chain)});
}

// An ephemeral disk of a machine that boots: it has been written, or a newer version is published.
bool DiskLibrary::must_begin_anew(const Place& place) const {
    if (place.disk.mode != DiskMode::ephemeral || !place.record || place.record->mode == DiskMode::persistent) return false;
    if (std::holds_alternative<boot::ImageSource>(place.disk.source)) {
        const auto version = wanted_version(place.disk);
        if (version && (version->image != place.record->image || version->number != place.record->version)) return true;
    }
    const auto image = place.image.lock();
    return !image || !image->pristine();
}

std::shared_ptr<storage::BlockDevice> DiskLibrary::open_overlay(const Key& key, Place& place, bool boots) {
    if (!place.busy.empty()) throw std::runtime_error{place.busy};
    if (place.record && !fs::exists(under_data_dir(place.record->file))) {
        log::warn("disk.missing", "disk={} effect=\"it begins anew\"", place.record->file.string());
        place.record.reset();
    }
    if (place.record && !place.overlay) open_file(place);
    if (boots && must_begin_anew(place)) begin_anew(key, place);
    if (!place.record) make(key, place);
    if (!place.overlay) open_file(place);
    return lend(key, place);
}

fs::path DiskLibrary::image_path_of(const DiskRecord& record) const {
    if (record.image.empty()) return {};
    const auto version = images_.resolve(fmt::format("{}@{}", record.image, record.version));
    if (!version) throw std::runtime_error{version.error()};
    return version->path;
}

void DiskLibrary::make(const Key& key, Place& place) {
    if (disks_refused_.load()) throw std::runtime_error{"there is too little space for another disk; free some, or add some"};
    const fs::path path = path_of(key);
    if (fs::exists(path) && !place.record)
        throw std::runtime_error{fmt::format("there is a file {} that is nobody's disk; move it away", path.string())};
    DiskRecord record{
        .owner = key.first, .lun = key.second, .file = fs::relative(path, data_dir_), .mode = place.disk.mode, .created = now()};
    if (const auto* blank = std::get_if<boot::BlankSource>(&place.disk.source)) {
        record.size_bytes = blank->size_bytes;
        store_.put(record);
        files_.create_overlay(path, record.size_bytes, nullptr);
    } else {
        const auto version = wanted_version(place.disk);
        if (!version) throw std::runtime_error{version.error()};
        record.image = version->image;
        record.version = version->number;
        record.size_bytes = version->size_bytes / 512 * 512;
        store_.put(record);  // from here on the version is in use
        const DiskFiles::Base base{.path = version->path, .format = version->format};
        files_.create_overlay(path, record.size_bytes, &base);
    }
    log::info("disk.created", "disk={} image={} mode={}", record.file.string(),
              record.image.empty() ? "-" : fmt::format("{}@{}", record.image, record.version), name_of(place.disk.mode));
    place.record = std::move(record);
}

void DiskLibrary::open_file(Place& place) {
    const fs::path base = image_path_of(*place.record);
    const fs::path path = under_data_dir(place.record->file);
    auto image = files_.open_overlay(path, DiskFiles::Look::of(place.disk), base);
    // A blank disk that was declared larger since.
    if (const auto* blank = std::get_if<boot::BlankSource>(&place.disk.source);
        blank != nullptr && blank->size_bytes > image->header().size_bytes) {
        if (const auto error = image->grow(blank->size_bytes)) throw std::runtime_error{error.message()};
        image.reset();
        image = files_.open_overlay(path, DiskFiles::Look::of(place.disk), base);
    }
    auto overlay = std::make_shared<storage::SwitchDevice>(image);
    const std::lock_guard lock{mutex_};
    place.image = image;
    place.overlay = std::move(overlay);
    place.lent.reset();
}

// To a session: when the last of them is gone the disk is closed, on a thread that may wait for it.
std::shared_ptr<storage::BlockDevice> DiskLibrary::lend(const Key& key, Place& place) {
    const std::lock_guard lock{mutex_};
    if (auto lent = place.lent.lock()) return lent;
    std::shared_ptr<storage::BlockDevice> device{
        place.overlay.get(), [this, key, overlay = place.overlay](storage::BlockDevice*) mutable {
            asio::post(worker_, [this, key, kept = std::move(overlay)]() mutable { returned(key, std::move(kept)); });
        }};
    place.lent = device;
    return device;
}

void DiskLibrary::returned(const Key& key, std::shared_ptr<storage::SwitchDevice> device) {
    const std::lock_guard working{working_};
    {
        const std::lock_guard lock{mutex_};
        const auto place = places_.find(key);
        if (place != places_.end() && place->second.overlay == device && place->second.lent.expired()) place->second.overlay.reset();
    }
    device.reset();  // closes the file if nobody else has it
}

void DiskLibrary::close(Place& place) {
    std::shared_ptr<storage::SwitchDevice> closing;
    const std::lock_guard lock{mutex_};
    closing = std::exchange(place.overlay, nullptr);
    place.lent.reset();
}

// Whoever still uses the old file keeps it, without its name.
void DiskLibrary::begin_anew(const Key& key, Place& place) {
    close(place);
    drop_snapshots(key, [](const boot::SnapshotRecord&) { return true; });
    make(key, place);
    images_.collect();
}

void DiskLibrary::drop_snapshots(const Key& key, const std::function<bool(const boot::SnapshotRecord&)>& which) {
    for (const boot::SnapshotRecord& snapshot : store_.snapshots(key.first, key.second)) {
        if (!which(snapshot)) continue;
        store_.remove_snapshot(key.first, key.second, snapshot.name);
        DiskFiles::remove(under_data_dir(snapshot.file));
    }
}

void DiskLibrary::tidy() {
    // Whoever works on files is the only one who holds them.
    const std::unique_lock working{working_, std::try_to_lock};
    if (!working) return;
    std::vector<std::shared_ptr<storage::qcow2::Image>> open;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [key, place] : places_) {
            if (auto image = place.image.lock()) open.push_back(std::move(image));
        }
    }
    for (const auto& image : open) image->tidy();
}

void DiskLibrary::set_space_short(bool disks_refused, bool writes_refused) {
    disks_refused_ = disks_refused;
    *files_.space_is_short() = writes_refused;
}

}  // namespace diskless
