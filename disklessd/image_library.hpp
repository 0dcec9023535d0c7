// ImageLibrary: the images and their versions: what there is, which version is published, where its file lies. Imports run beside it
// (import_queue.hpp). The files it makes are images/<name>/<number>.<format> under the data directory, read-only; it removes no others.
#pragma once

#include <map>
#include <mutex>

#include "boot/catalog.hpp"
#include "boot/image.hpp"
#include "disklessd/import_queue.hpp"

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
    ImageLibrary(std::filesystem::path data_dir, boot::ImageStore& store, boot::DiskStore& disks, importing::Limits limits = {});
    /// An import under way is broken off; the next start goes on with it.
    ~ImageLibrary() override = default;
    ImageLibrary(const ImageLibrary&) = delete;
    ImageLibrary& operator=(const ImageLibrary&) = delete;

    /// What the configuration declares becomes versions in place; at start and reload, before disks are opened. Blocks.
    void synchronise(const std::vector<boot::Image>& declared);
    /// Removes what interrupted imports left, and goes on with them. Once, when privileges are dropped. Blocks.
    void start();

    /// "debian-12" (its published version) or "debian-12@3"; the error is one line. From memory: any thread.
    [[nodiscard]] std::expected<ImageFile, std::string> resolve(std::string_view reference) const;

    /// A number for a version that is about to be made, which nobody else gets, and where its file belongs (relative to the data
    /// directory).
    [[nodiscard]] unsigned reserve_number(const std::string& image);
    [[nodiscard]] static std::filesystem::path file_of(const std::string& image, unsigned number, boot::DiskFormat format);
    /// Where what its boots read is remembered; it goes with the version.
    [[nodiscard]] static std::filesystem::path boot_set_of(const std::string& image, unsigned number);
    /// A file that lies in place, whole, on stable storage and never to change again (a super client's disk, flattened or with its chain)
    /// becomes the version `version.number`, as reserved.
    void add_version(const std::string& image, boot::ImageVersion version, bool publish);
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

 private:
    using Rule = std::function<boot::OrRefusal<boot::ImageRecord>(boot::ImageRecord)>;

    [[nodiscard]] std::optional<boot::ImageRecord> record(const std::string& name) const;
    [[nodiscard]] std::vector<boot::ImageRecord> records() const;
    void keep(boot::ImageRecord image);
    boot::OrRefusal<boot::ImageRecord> change(const std::string& name, const Rule& rule);
    void commit(const boot::ImportJob& job);
    void adopt(const std::string& image, boot::ImageVersion version, bool publish, const boot::ImportJob* job);
    [[nodiscard]] boot::ImageRecord collected(boot::ImageRecord image);
    [[nodiscard]] std::optional<boot::Refusal> declared_refusal(const boot::ImageRecord& image, std::optional<unsigned> number) const;
    [[nodiscard]] Image described(const boot::ImageRecord& image, const std::vector<boot::DiskRecord>& disks) const;

    std::filesystem::path data_dir_;
    boot::ImageStore& store_;
    boot::DiskStore& disks_;
    std::mutex changing_;  ///< one change at a time, with its commit; taken before mutex_
    mutable std::mutex mutex_;
    std::map<std::string, boot::ImageRecord, std::less<>> images_;
    std::map<std::string, std::filesystem::path> declared_;  ///< name -> file, empty where only the name is
    std::map<std::string, unsigned> reserved_;               ///< the highest number that was promised
    ImportQueue imports_;                                    // last: its thread uses all of the above
};

}  // namespace diskless
