// Journal: what has been acknowledged and is not yet in the image's tables, in a small file that is shared memory. A killed server leaves
// it whole, for the kernel keeps the pages; after a power cut it means nothing and is ignored: what no flush has covered may be lost then.
#pragma once

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
    static constexpr std::uint64_t records_per_half = 2048;

    /// Opens or makes the file. Throws std::runtime_error.
    Journal(const std::filesystem::path& path, std::uint64_t cluster_bytes);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// What the one before us left in this boot of the machine, oldest first. Empty after a clean end.
    [[nodiscard]] std::vector<JournalRecord> left() const;
    /// Whether the last one to use it came to its end.
    [[nodiscard]] bool was_closed() const noexcept { return was_closed_; }

    /// From here on it is ours, and empty.
    void begin() noexcept;
    [[nodiscard]] bool has_room(std::uint64_t records) const noexcept { return used_ + records <= records_per_half; }
    /// The caller has made sure of room.
    void append(std::uint64_t guest, const Entry& entry) noexcept;
    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
    void flip() noexcept;
    void clear_old() noexcept;
    /// A clean end: everything is in the tables.
    void close() noexcept;

 private:
    struct File;
    std::string path_;
    std::uint64_t cluster_bytes_;
    File* file_ = nullptr;
    bool was_closed_ = true;
    bool old_needed_ = false;
    unsigned half_ = 0;
    std::uint64_t used_ = 0;
};

}  // namespace diskless::storage::qcow2
