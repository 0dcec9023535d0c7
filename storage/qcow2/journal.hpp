// Journal: what has been acknowledged and is not yet in the image's tables, in a small file that is shared memory. A killed server leaves
// it whole, for the kernel keeps the pages; after a power cut it means nothing and is ignored: what no flush has covered may be lost then.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/qcow2/format.hpp"

namespace diskless::storage::qcow2 {

struct JournalRecord {
    std::uint64_t guest = 0;     ///< of the first cluster
    std::uint64_t clusters = 1;  ///< more than one only where the entry takes no space: then all are alike
    Entry entry;
    friend bool operator==(const JournalRecord&, const JournalRecord&) = default;
};

/// Two halves: a checkpoint begins with flip(), and when it has succeeded clear_old() empties the half before. After a failed one flip()
/// does nothing until clear_old(): the old half is still needed.
class Journal {
 public:
    static constexpr std::uint64_t max_records = 65536;  ///< of a half: a file of 4 MiB at most, of 68 KiB at first

    /// Opens or makes the file. Throws std::runtime_error.
    Journal(const std::filesystem::path& path, std::uint64_t cluster_bytes);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// What the one before us left in this boot of the machine, oldest first. Empty after a clean end.
    [[nodiscard]] std::vector<JournalRecord> left() const;
    /// Whether the last one to use it came to its end.
    [[nodiscard]] bool was_closed() const noexcept { return was_closed_; }

    /// Nobody has used it before.
    [[nodiscard]] bool is_new() const noexcept { return is_new_; }

    /// From here on it is ours, and empty.
    void begin() noexcept;
    /// Makes it, if need be: the file grows. False: a checkpoint is due, or the file system is full.
    [[nodiscard]] bool has_room(std::uint64_t records) noexcept { return used_ + records <= room_[half_] || grow(used_ + records); }
    /// The caller has made sure of room.
    void append(std::uint64_t guest, const Entry& entry);
    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
    void flip() noexcept;
    void clear_old() noexcept;
    /// A clean end: everything is in the tables.
    void close() noexcept;

 private:
    struct File;
    [[nodiscard]] bool grow(std::uint64_t records) noexcept;
    [[nodiscard]] std::uint32_t& latest(std::uint64_t guest) noexcept;
    void make_latest_larger();

    std::string path_;
    std::uint64_t cluster_bytes_;
    int fd_ = -1;
    File* file_ = nullptr;
    std::array<std::uint64_t, 2> room_{};  ///< records of each half that have their place on the disk
    bool is_new_ = true;
    bool was_closed_ = true;
    bool old_needed_ = false;
    unsigned half_ = 0;
    std::uint64_t used_ = 0;
    /// By cluster: the last record of this half that says something of it, plus one. Clusters that meet at one place push each other out.
    std::vector<std::uint32_t> latest_;
};

}  // namespace diskless::storage::qcow2
