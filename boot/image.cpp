#include "boot/image.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace diskless::boot {
namespace {

template<class Enum, std::size_t n>
std::optional<Enum> named(const std::array<std::string_view, n>& names, std::string_view name) noexcept {
    const auto found = std::ranges::find(names, name);
    return found == names.end() ? std::nullopt : std::optional{static_cast<Enum>(found - names.begin())};
}

constexpr std::array<std::string_view, 2> format_names{"raw", "qcow2"};
constexpr std::array<std::string_view, 6> state_names{"waiting", "running", "storing", "done", "failed", "cancelled"};

ImageVersion* find(ImageRecord& image, unsigned number) noexcept {
    const auto found = std::ranges::find(image.versions, number, &ImageVersion::number);
    return found == image.versions.end() ? nullptr : &*found;
}

std::unexpected<Refusal> refuse(Refusal::Kind kind, std::string text) { return std::unexpected{Refusal{kind, std::move(text)}}; }

std::string reference(const ImageRecord& image, unsigned number) { return image.name + '@' + std::to_string(number); }

std::unexpected<Refusal> no_such_version(const ImageRecord& image, unsigned number) {
    return refuse(Refusal::Kind::not_found,
                  "there is no " + reference(image, number) + "; diskless image show " + image.name + " lists what there is");
}

/// What cannot be gone back to is not remembered; the published version itself is, whatever its state.
void tidy_history(ImageRecord& image) {
    if (image.published.empty()) return;
    const unsigned now = image.published.back();
    std::erase_if(image.published, [&](unsigned number) {
        const ImageVersion* version = image.version(number);
        return number != now && (version == nullptr || version->state != VersionState::present);
    });
    const auto [first, last] = std::ranges::unique(image.published);
    image.published.erase(first, last);
}

void make_published(ImageRecord& image, unsigned number) {
    image.published.push_back(number);
    tidy_history(image);
}

}  // namespace

std::string_view name_of(DiskFormat format) noexcept { return format_names.at(static_cast<std::size_t>(format)); }
std::optional<DiskFormat> disk_format(std::string_view name) noexcept { return named<DiskFormat>(format_names, name); }
std::string_view name_of(ImportJob::State state) noexcept { return state_names.at(static_cast<std::size_t>(state)); }
std::optional<ImportJob::State> import_state(std::string_view name) noexcept { return named<ImportJob::State>(state_names, name); }

const ImageVersion* ImageRecord::version(unsigned number) const noexcept {
    const auto found = std::ranges::find(versions, number, &ImageVersion::number);
    return found == versions.end() || found->state == VersionState::gone ? nullptr : &*found;
}

const ImageVersion* ImageRecord::published_version() const noexcept { return published.empty() ? nullptr : version(published.back()); }

OrRefusal<ImageRecord> publish(ImageRecord image, unsigned number) {
    const ImageVersion* version = image.version(number);
    if (version == nullptr) return no_such_version(image, number);
    if (version->state != VersionState::present)
        return refuse(Refusal::Kind::conflict, reference(image, number) + " is deleted; publish another version, or import it again");
    make_published(image, number);
    return image;
}

OrRefusal<ImageRecord> roll_back(ImageRecord image) {
    if (image.published.size() < 2)
        return refuse(Refusal::Kind::conflict, "no other version of " + image.name + " was published before; diskless image publish " +
                                                   image.name + "@N chooses one");
    image.published.pop_back();
    tidy_history(image);
    return image;
}

OrRefusal<ImageRecord> remove(ImageRecord image, std::optional<unsigned> number) {
    if (!number) {
        image.published.clear();
        for (ImageVersion& version : image.versions) {
            if (version.state == VersionState::present) version.state = VersionState::leaving;
        }
        return image;
    }
    if (image.version(*number) == nullptr) return no_such_version(image, *number);
    find(image, *number)->state = VersionState::leaving;
    tidy_history(image);
    return image;
}

ImageRecord declare(ImageRecord image, ImageVersion in_place) {
    const auto known = std::ranges::find_if(image.versions, [&](const ImageVersion& v) { return v.file == in_place.file; });
    if (known == image.versions.end()) {
        in_place.number = image.next_number();
        image.versions.push_back(in_place);
        make_published(image, in_place.number);
        return image;
    }
    // The file is the administrator's: what it is now is what counts.
    known->format = in_place.format;
    known->size_bytes = in_place.size_bytes;
    known->state = VersionState::present;
    if (image.published_version() == nullptr) make_published(image, known->number);
    return image;
}

ImageRecord withdraw(ImageRecord image, const std::filesystem::path& kept) {
    for (ImageVersion& version : image.versions) {
        if (version.state == VersionState::present && version.source == declared_source && version.file != kept)
            version.state = VersionState::leaving;
    }
    if (std::ranges::none_of(image.versions, [](const ImageVersion& v) { return v.state == VersionState::present; }))
        image.published.clear();
    tidy_history(image);
    return image;
}

}  // namespace diskless::boot
