// Images as values: numbered, immutable versions, which of them is published, and the import that makes one. The rules here are pure;
// ImageStore and DiskStore are where the values become durable, ImageControl is what people order (disklessd implements it).
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "boot/client.hpp"

namespace diskless::boot {

using Instant = std::chrono::sys_time<std::chrono::milliseconds>;

/// What the server serves as it is; everything else is converted to raw when it is imported.
enum class DiskFormat : std::uint8_t { raw, qcow2 };
[[nodiscard]] std::string_view name_of(DiskFormat format) noexcept;  ///< "raw", "qcow2"
[[nodiscard]] std::optional<DiskFormat> disk_format(std::string_view name) noexcept;

/// The source of versions that are the configuration's files, in place.
inline constexpr std::string_view declared_source = "declared";

enum class VersionState : std::uint8_t {
    present,
    leaving,  ///< deleted, but published or used by a disk: it goes when it is neither
    gone,     ///< its file is no more; the row stays, so that its number never means anything else
};

struct ImageVersion {
    unsigned number = 0;         ///< from 1
    std::filesystem::path file;  ///< relative to the data directory; what was declared elsewhere is absolute
    DiskFormat format = DiskFormat::raw;
    std::uint64_t size_bytes = 0;  ///< of the disk
    std::string digest;            ///< "sha256:…" of the disk's content as raw bytes; empty: not known
    std::string description;
    Instant created;
    std::string source;  ///< where it came from: a path, or `declared_source`
    VersionState state = VersionState::present;
    friend bool operator==(const ImageVersion&, const ImageVersion&) = default;
};

/// An image with all it ever had.
struct ImageRecord {
    std::string name;
    std::vector<ImageVersion> versions;  ///< in the order of numbers
    std::vector<unsigned> published;     ///< in the order of time: the last one is published, the one before is what rollback goes to
    friend bool operator==(const ImageRecord&, const ImageRecord&) = default;

    /// nullptr: never was, or is gone.
    [[nodiscard]] const ImageVersion* version(unsigned number) const noexcept;
    [[nodiscard]] const ImageVersion* published_version() const noexcept;
    [[nodiscard]] unsigned next_number() const noexcept { return versions.empty() ? 1 : versions.back().number + 1; }
};

/// Why an order is refused; `text` is one line with a remedy.
struct Refusal {
    enum class Kind : std::uint8_t { wrong, not_found, conflict, failed };
    Kind kind = Kind::wrong;
    std::string text;
};
template<class T>
using OrRefusal = std::expected<T, Refusal>;

// What orders make of a record. Pure.
[[nodiscard]] OrRefusal<ImageRecord> publish(ImageRecord image, unsigned number);
[[nodiscard]] OrRefusal<ImageRecord> roll_back(ImageRecord image);
/// Marks one version as leaving, or all of them; with all of them nothing is published any more.
[[nodiscard]] OrRefusal<ImageRecord> remove(ImageRecord image, std::optional<unsigned> number);
/// The file the configuration names is a version of the image: one there was already, or its next one, published.
[[nodiscard]] ImageRecord declare(ImageRecord image, ImageVersion in_place);
/// The configuration names no file of this image any more, or only `kept`: others that it once named leave.
[[nodiscard]] ImageRecord withdraw(ImageRecord image, const std::filesystem::path& kept = {});

/// What is to become a version. Kept while it runs: an import outlives the process.
struct ImportJob {
    enum class State : std::uint8_t {
        waiting,
        running,
        storing,  ///< the file is whole and on disk; `result` is what becomes a version
        done,
        failed,
        cancelled,
    };
    std::uint64_t id = 0;
    std::string image;
    std::filesystem::path source;  ///< absolute
    std::string format;            ///< as the user stated it; empty: recognised
    std::string description;
    bool publish = true;  ///< the version it makes
    Instant created;
    State state = State::waiting;
    std::string error;             ///< why it failed: one line with a remedy
    std::string warning;           ///< what is to be known of a version that was made
    ImageVersion result;           ///< from `storing` on
    std::uint64_t safe_bytes = 0;  ///< of the file that is made: so much is on disk, and an interrupted import goes on there
    std::string source_mark;       ///< the source as it was then
    // While it runs; not kept.
    std::string stage;              ///< "unpacking", "converting", "copying", "reading"
    std::uint64_t done_bytes = 0;   ///< of all stages together
    std::uint64_t total_bytes = 0;  ///< may grow when a stage shows how large the next one is
    [[nodiscard]] bool over() const noexcept { return state >= State::done; }
};
[[nodiscard]] std::string_view name_of(ImportJob::State state) noexcept;
[[nodiscard]] std::optional<ImportJob::State> import_state(std::string_view name) noexcept;

/// A disk that has a file of its own. The file's format and what it holds are the disk library's business.
struct DiskRecord {
    std::string owner;  ///< a client's or a declared target's name
    std::uint16_t lun = 0;
    std::filesystem::path file;  ///< relative to the data directory
    std::string image;           ///< of which it is a copy-on-write disk; empty: none
    unsigned version = 0;        ///< of that image: in use while this record is there
    DiskMode mode = DiskMode::persistent;
    std::uint64_t size_bytes = 0;
    Instant created;
    friend bool operator==(const DiskRecord&, const DiskRecord&) = default;
};

struct SnapshotRecord {
    std::string owner;
    std::uint16_t lun = 0;
    std::string name;
    std::filesystem::path file;
    Instant created;
    friend bool operator==(const SnapshotRecord&, const SnapshotRecord&) = default;
};

/// All of it blocks until the change is on stable storage: from any thread that does not serve packets. Throws std::exception.
class ImageStore {
 public:
    virtual ~ImageStore() = default;
    [[nodiscard]] virtual std::vector<ImageRecord> images() = 0;
    /// The image as it is now, and with it the import that made it so: both or neither.
    virtual void save(const ImageRecord& image, const ImportJob* import = nullptr) = 0;
    /// Unless a disk uses it, the version is gone: true. No disk can come to use it after that.
    virtual bool retire(const std::string& image, unsigned number) = 0;

    [[nodiscard]] virtual std::vector<ImportJob> imports() = 0;
    /// A new one (id 0) gets its id; the oldest ones that are over are forgotten.
    virtual std::uint64_t save(const ImportJob& import) = 0;
};

/// As ImageStore.
class DiskStore {
 public:
    virtual ~DiskStore() = default;
    [[nodiscard]] virtual std::vector<DiskRecord> disks() = 0;
    [[nodiscard]] virtual std::vector<DiskRecord> disks_of_version(const std::string& image, unsigned number) = 0;
    /// Replaces the record of that owner and LUN. Throws when its image version is gone: take the one that is published now.
    virtual void put(const DiskRecord& disk) = 0;
    /// With its snapshots. What is not there is no error.
    virtual void remove_disk(const std::string& owner, std::uint16_t lun) = 0;

    [[nodiscard]] virtual std::vector<SnapshotRecord> snapshots(const std::string& owner, std::uint16_t lun) = 0;
    virtual void put(const SnapshotRecord& snapshot) = 0;
    virtual void remove_snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) = 0;
};

/// Images for whoever asks and orders: the API. Any thread that may wait.
class ImageControl {
 public:
    struct Version {
        ImageVersion version;
        std::uint64_t stored_bytes = 0;    ///< what its file takes on disk
        std::vector<std::string> used_by;  ///< "desk-01 lun 0"
    };
    struct Image {
        std::string name;
        unsigned published = 0;         ///< 0: none
        bool declared = false;          ///< by the configuration
        std::vector<Version> versions;  ///< those that are not gone
    };
    struct Removal {
        std::vector<unsigned> gone;
        std::vector<unsigned> deferred;
        std::string why;  ///< some are deferred: one line
    };

    virtual ~ImageControl() = default;
    [[nodiscard]] virtual std::vector<Image> images() = 0;
    [[nodiscard]] virtual OrRefusal<Image> image(const std::string& name) = 0;
    /// One after another, in the background. What of `job` describes the order counts; the answer has its id.
    virtual OrRefusal<ImportJob> import(ImportJob job) = 0;
    /// The newest last.
    [[nodiscard]] virtual std::vector<ImportJob> imports() = 0;
    virtual OrRefusal<ImportJob> cancel_import(std::uint64_t id) = 0;
    /// The version that is published then.
    virtual OrRefusal<unsigned> publish(const std::string& name, unsigned number) = 0;
    virtual OrRefusal<unsigned> roll_back(const std::string& name) = 0;
    virtual OrRefusal<Removal> remove(const std::string& name, std::optional<unsigned> number) = 0;
};

}  // namespace diskless::boot
