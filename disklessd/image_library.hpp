// ImageLibrary: the images and their versions: what there is, which version is published, where its file lies. Imports run one after
// another on a thread of its own (importer.hpp). Files it makes are images/<name>/<number>.<format> under the data directory, read-only.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>

#include "boot/catalog.hpp"
#include "boot/image.hpp"

namespace diskless {

/// A version to be opened.
struct ImageFile {
    std::string image;
    unsigned number = 0;
    std::filesystem::path path;  ///< absolute
    boot::DiskFormat format = boot::DiskFormat::raw;
    std::uint64_t size_bytes = 0;
    friend bool operator==(const ImageFile&, const ImageFile&) = default;
};

class ImageLibrary final : public boot::ImageControl {
 public:
    /// Reads what there is. The stores outlive the library.
    ImageLibrary(std::filesystem::path data_dir, boot::ImageStore& store, boot::DiskStore& disks);
    /// An import under way is broken off; the next start continues it.
    ~ImageLibrary() override;
    ImageLibrary(const ImageLibrary&) = delete;
    ImageLibrary& operator=(const ImageLibrary&) = delete;

    /// What the configuration declares becomes versions in place; at start and reload, before disks are opened. Blocks.
    void synchronise(const boot::CatalogData& catalog);
    /// Removes what interrupted imports left, and goes on with them. Once, when privileges are dropped. Blocks.
    void start();

    /// "debian-12" (its published version) or "debian-12@3". From memory: any thread.
    [[nodiscard]] std::expected<ImageFile, std::string> resolve(std::string_view reference) const;
    /// A file that lies in place already, whole and never to change again (a super client's disk), becomes the next version. Its number.
    boot::OrRefusal<unsigned> add_version(const std::string& image, boot::ImageVersion version, bool publish);
    /// Where add_version() wants the file of the next version: images/<name>/<number>.<format>, relative to the data directory.
    [[nodiscard]] std::filesystem::path next_file(const std::string& image, boot::DiskFormat format) const;
    /// Removes the files of deleted versions that nothing uses any more. Call it when a disk was removed. Blocks.
    void collect();

    [[nodiscard]] std::vector<Image> images() override;
    [[nodiscard]] boot::OrRefusal<Image> image(const std::string& name) override;
    boot::OrRefusal<boot::ImportJob> import(boot::ImportJob job) override;
    [[nodiscard]] std::vector<boot::ImportJob> imports() override;
    boot::OrRefusal<boot::ImportJob> cancel_import(std::uint64_t id) override;
    boot::OrRefusal<unsigned> publish(const std::string& name, unsigned number) override;
    boot::OrRefusal<unsigned> roll_back(const std::string& name) override;
    boot::OrRefusal<Removal> remove(const std::string& name, std::optional<unsigned> number) override;
};

}  // namespace diskless
