#include "disklessd/image_library.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "common/bytes.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "config/names.hpp"
#include "disklessd/importing/error.hpp"
#include "disklessd/importing/format.hpp"

namespace diskless {
namespace {

namespace fs = std::filesystem;
using boot::ImageRecord;
using boot::ImageVersion;
using boot::Refusal;
using boot::VersionState;

constexpr std::uint64_t block_bytes = 512;  // of stat's st_blocks

boot::Instant now() { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

std::unexpected<Refusal> refuse(Refusal::Kind kind, std::string text) { return std::unexpected{Refusal{kind, std::move(text)}}; }

std::string no_such_image(std::string_view name) {
    return fmt::format("there is no image {}; diskless image list shows what there is", escaped(name));
}

/// A declared file as it lies there: qcow2 by its magic, else raw.
ImageVersion version_in_place(const fs::path& data_dir, const fs::path& file) {
    constexpr std::size_t qcow2_size_at = 24;  // of its header
    ImageVersion version{.file = file, .created = now(), .source = std::string{boot::declared_source}};
    std::array<char, qcow2_size_at + 8> head{};
    std::ifstream in{data_dir / file, std::ios::binary};
    if (in.read(head.data(), head.size()) && std::string_view{head.data(), 4} == "QFI\xfb") {
        version.format = boot::DiskFormat::qcow2;
        version.size_bytes = load_be<std::uint64_t>(std::as_bytes(std::span{head}), qcow2_size_at);
    } else {
        version.size_bytes = fs::file_size(data_dir / file);
    }
    return version;
}

/// Files that are this library's to remove.
bool is_ours(const ImageVersion& version) { return version.source != boot::declared_source && *version.file.begin() == "images"; }

boot::OrRefusal<unsigned> now_published(std::string_view event, const boot::OrRefusal<ImageRecord>& image) {
    if (!image) return std::unexpected{image.error()};
    log::info(event, "version={}@{}", image->name, image->published.back());
    return image->published.back();
}

std::string user_of(const boot::DiskRecord& disk) { return fmt::format("{} lun {}", disk.owner, disk.lun); }

}  // namespace

ImageLibrary::ImageLibrary(fs::path data_dir, boot::ImageStore& store, boot::DiskStore& disks, importing::Limits limits)
    : data_dir_{std::move(data_dir)},
      store_{store},
      disks_{disks},
      imports_{{.data_dir = data_dir_,
                .store = store,
                .reserve_number = [this](const std::string& image) { return reserve_number(image); },
                .commit = [this](const boot::ImportJob& job) { commit(job); },
                .limits = limits}} {
    for (ImageRecord& image : store_.images()) keep(std::move(image));
}

std::optional<ImageRecord> ImageLibrary::record(const std::string& name) const {
    const std::lock_guard lock{mutex_};
    const auto found = images_.find(name);
    return found == images_.end() ? std::nullopt : std::optional{found->second};
}

std::vector<ImageRecord> ImageLibrary::records() const {
    const std::lock_guard lock{mutex_};
    std::vector<ImageRecord> records;
    for (const auto& [name, image] : images_) records.push_back(image);
    return records;
}

void ImageLibrary::keep(ImageRecord image) {
    const std::lock_guard lock{mutex_};
    std::string name = image.name;
    images_.insert_or_assign(std::move(name), std::move(image));
}

// --- versions that come ------------------------------------------------------------------------------------------------------------------

void ImageLibrary::synchronise(const std::vector<boot::Image>& declared) {
    const std::lock_guard order{changing_};
    std::map<std::string, fs::path> files;
    for (const boot::Image& image : declared) files.emplace(image.name, image.file);
    for (const auto& [name, file] : files) {
        if (!record(name)) keep({.name = name, .versions = {}, .published = {}});
    }
    for (const ImageRecord& before : records()) {
        const auto found = files.find(before.name);
        const fs::path file = found == files.end() ? fs::path{} : found->second;
        ImageRecord after = boot::withdraw(before, file);
        try {
            if (!file.empty()) after = boot::declare(std::move(after), version_in_place(data_dir_, file));
        } catch (const fs::filesystem_error& e) {
            log::error("image.unavailable", "image={} file={} reason=\"{}\"", before.name, file.native(), e.code().message());
        }
        if (after != before) {
            store_.save(after);
            if (const ImageVersion* version = after.published_version())
                log::info("image.declared", "image={} published={}@{} file={}", after.name, after.name, version->number, file.native());
        }
        keep(collected(std::move(after)));
    }
    const std::lock_guard lock{mutex_};
    std::erase_if(images_, [&](const auto& entry) { return entry.second.versions.empty() && !files.contains(entry.first); });
    declared_ = std::move(files);
}

void ImageLibrary::start() {
    collect();
    imports_.start();
}

unsigned ImageLibrary::reserve_number(const std::string& image) {
    const std::lock_guard lock{mutex_};
    const auto known = images_.find(image);
    unsigned& highest = reserved_[image];
    unsigned number = std::max(known == images_.end() ? 1 : known->second.next_number(), highest + 1);
    // A file that a crash left without a row is not overwritten.
    using enum boot::DiskFormat;
    while (fs::exists(data_dir_ / file_of(image, number, raw)) || fs::exists(data_dir_ / file_of(image, number, qcow2))) ++number;
    return highest = number;
}

fs::path ImageLibrary::file_of(const std::string& image, unsigned number, boot::DiskFormat format) {
    return fs::path{"images"} / image / fmt::format("{}.{}", number, name_of(format));
}

fs::path ImageLibrary::boot_set_of(const std::string& image, unsigned number) {
    return fs::path{"images"} / image / fmt::format("{}.bootset", number);
}

void ImageLibrary::add_version(const std::string& image, ImageVersion version, bool publish) {
    adopt(image, std::move(version), publish, nullptr);
}

void ImageLibrary::commit(const boot::ImportJob& job) {
    ImageVersion version = job.result;
    version.description = job.description;
    version.source = job.source;
    adopt(job.image, std::move(version), job.publish, &job);
}

void ImageLibrary::adopt(const std::string& image, ImageVersion version, bool publish, const boot::ImportJob* job) {
    const std::lock_guard order{changing_};
    ImageRecord after = record(image).value_or(ImageRecord{.name = image, .versions = {}, .published = {}});
    version.created = now();
    const unsigned number = version.number;
    log::info("image.version", "version={}@{} bytes={} digest={} published={}", image, number, version.size_bytes, version.digest, publish);
    after.versions.insert(std::ranges::upper_bound(after.versions, number, {}, &ImageVersion::number), std::move(version));
    if (publish) after = boot::publish(std::move(after), number).value();
    store_.save(after, job);
    keep(collected(std::move(after)));
}

// --- versions that are used --------------------------------------------------------------------------------------------------------------

std::expected<ImageFile, std::string> ImageLibrary::resolve(std::string_view reference) const {
    const auto parsed = config::parse_image_reference(reference);
    if (!parsed) return std::unexpected{fmt::format("{} names no image; write NAME or NAME@N", escaped(reference))};
    const std::lock_guard lock{mutex_};
    const auto found = images_.find(parsed->name);
    if (found == images_.end()) return std::unexpected{no_such_image(parsed->name)};
    const ImageRecord& image = found->second;
    const ImageVersion* version = parsed->version ? image.version(*parsed->version) : image.published_version();
    if (version == nullptr && parsed->version)
        return std::unexpected{fmt::format("there is no {}; diskless image show {} lists what there is", reference, image.name)};
    if (version == nullptr)
        return std::unexpected{
            fmt::format("no version of image {0} is published; diskless image import {0} FILE, or publish {0}@N", image.name)};
    return ImageFile{.image = image.name,
                     .number = version->number,
                     .path = data_dir_ / version->file,
                     .format = version->format,
                     .size_bytes = version->size_bytes};
}

boot::ImageControl::Image ImageLibrary::described(const ImageRecord& image, const std::vector<boot::DiskRecord>& disks) const {
    Image described{.name = image.name, .versions = {}};
    if (const ImageVersion* published = image.published_version()) described.published = published->number;
    {
        const std::lock_guard lock{mutex_};
        described.declared = declared_.contains(image.name);
    }
    for (const ImageVersion& version : image.versions) {
        if (version.state == VersionState::gone) continue;
        Version& shown = described.versions.emplace_back(version);
        struct stat status{};
        if (::stat((data_dir_ / version.file).c_str(), &status) == 0)
            shown.stored_bytes = static_cast<std::uint64_t>(status.st_blocks) * block_bytes;
        for (const boot::DiskRecord& disk : disks) {
            if (disk.image == image.name && disk.version == version.number) shown.used_by.push_back(user_of(disk));
        }
    }
    return described;
}

std::vector<boot::ImageControl::Image> ImageLibrary::images() {
    std::vector<Image> images;
    const auto disks = disks_.disks();
    for (const ImageRecord& image : records()) {
        Image shown = described(image, disks);
        if (!shown.versions.empty() || shown.declared) images.push_back(std::move(shown));
    }
    return images;
}

boot::OrRefusal<boot::ImageControl::Image> ImageLibrary::image(const std::string& name) {
    const auto known = record(name);
    if (known) {
        Image shown = described(*known, disks_.disks());
        if (!shown.versions.empty() || shown.declared) return shown;
    }
    return refuse(Refusal::Kind::not_found, no_such_image(name));
}

boot::OrRefusal<boot::ImageRecord> ImageLibrary::change(const std::string& name, const Rule& rule) {
    const std::lock_guard order{changing_};
    auto before = record(name);
    if (!before) return refuse(Refusal::Kind::not_found, no_such_image(name));
    auto after = rule(std::move(*before));
    if (!after) return after;
    store_.save(*after);
    after = collected(std::move(*after));
    keep(*after);
    return after;
}

boot::OrRefusal<unsigned> ImageLibrary::publish(const std::string& name, unsigned number) {
    return now_published("image.published", change(name, [number](ImageRecord image) { return boot::publish(std::move(image), number); }));
}

boot::OrRefusal<unsigned> ImageLibrary::roll_back(const std::string& name) {
    return now_published("image.rolled_back", change(name, [](ImageRecord image) { return boot::roll_back(std::move(image)); }));
}

// --- versions that go --------------------------------------------------------------------------------------------------------------------

/// The image without the versions that nothing keeps any more, and their files removed. The row goes first: a file without a row is
/// removed at the next start, a row without a file would be a disk that cannot be opened.
ImageRecord ImageLibrary::collected(ImageRecord image) {
    const unsigned published = image.published.empty() ? 0 : image.published.back();
    for (ImageVersion& version : image.versions) {
        if (version.state == VersionState::leaving && version.number != published && store_.retire(image.name, version.number)) {
            version.state = VersionState::gone;
            log::info("image.deleted", "version={}@{}", image.name, version.number);
        }
        if (version.state != VersionState::gone) continue;
        std::error_code error;
        fs::remove(data_dir_ / boot_set_of(image.name, version.number), error);
        if (!is_ours(version)) continue;
        fs::remove(data_dir_ / version.file, error);
        if (error) log::warn("image.not_removed", "file={} reason=\"{}\"", (data_dir_ / version.file).native(), error.message());
    }
    return image;
}

void ImageLibrary::collect() {
    const std::lock_guard order{changing_};
    for (const ImageRecord& image : records()) keep(collected(image));
}

std::optional<Refusal> ImageLibrary::declared_refusal(const ImageRecord& image, std::optional<unsigned> number) const {
    const std::lock_guard lock{mutex_};
    const auto declared = declared_.find(image.name);
    if (declared == declared_.end() || declared->second.empty()) return std::nullopt;
    const ImageVersion* version = number ? image.version(*number) : nullptr;
    if (number && (version == nullptr || version->file != declared->second)) return std::nullopt;
    return Refusal{Refusal::Kind::conflict, fmt::format("the configuration declares {} with the file {}; remove it there, and reload",
                                                        image.name, declared->second.native())};
}

boot::OrRefusal<boot::ImageControl::Removal> ImageLibrary::remove(const std::string& name, std::optional<unsigned> number) {
    std::vector<unsigned> wanted;
    const auto after = change(name, [&](ImageRecord image) -> boot::OrRefusal<ImageRecord> {
        if (auto refusal = declared_refusal(image, number)) return std::unexpected{*refusal};
        for (const ImageVersion& version : image.versions) {
            if (version.state != VersionState::gone && (!number || version.number == *number)) wanted.push_back(version.number);
        }
        if (!number && wanted.empty()) return refuse(Refusal::Kind::not_found, no_such_image(name));
        return boot::remove(std::move(image), number);
    });
    if (!after) return std::unexpected{after.error()};
    Removal removal;
    for (const unsigned version : wanted) (after->version(version) == nullptr ? removal.gone : removal.deferred).push_back(version);
    if (removal.deferred.empty()) return removal;
    const unsigned first = removal.deferred.front();
    if (after->published_version() != nullptr && after->published_version()->number == first) {
        removal.why = fmt::format("{}@{} is published; it goes when another version is, or with the whole image", name, first);
    } else if (const auto users = disks_.disks_of_version(name, first); !users.empty()) {
        removal.why = fmt::format("{}@{} is used by {}{}; it goes when nothing uses it any more", name, first, user_of(users.front()),
                                  users.size() == 1 ? "" : fmt::format(" and {} more", users.size() - 1));
    }
    return removal;
}

// --- imports -----------------------------------------------------------------------------------------------------------------------------

boot::OrRefusal<boot::ImportJob> ImageLibrary::import(boot::ImportJob job) {
    if (!config::is_name(job.image))
        return refuse(Refusal::Kind::wrong, fmt::format("\"{}\" is no name for an image; write {}", escaped(job.image), config::name_form));
    if (!job.source.is_absolute())
        return refuse(Refusal::Kind::wrong, "the file to import is not named by its whole path; begin it with /");
    if (!job.format.empty()) {
        if (const auto format = importing::parse_format(job.format); !format) return refuse(Refusal::Kind::wrong, format.error());
    }
    try {
        importing::examine_source(job.source);
    } catch (const importing::ImportError& e) {
        return refuse(Refusal::Kind::wrong, fmt::format("{}: {}", escaped(job.source.native(), 300), e.what()));
    }
    boot::ImportJob fresh;
    fresh.image = std::move(job.image);
    fresh.source = std::move(job.source);
    fresh.format = std::move(job.format);
    fresh.description = std::move(job.description);
    fresh.publish = job.publish;
    fresh.created = now();
    return imports_.add(std::move(fresh));
}

std::vector<boot::ImportJob> ImageLibrary::imports() { return imports_.jobs(); }

boot::OrRefusal<boot::ImportJob> ImageLibrary::cancel_import(std::uint64_t id) { return imports_.cancel(id); }

}  // namespace diskless
