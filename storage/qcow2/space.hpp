// Space: which clusters of the file are free, and what has been taken and given back since the last checkpoint. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace diskless::storage::qcow2 {

/// Clusters of the file, by number.
struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    [[nodiscard]] std::uint64_t end() const noexcept { return first + count; }
    friend bool operator==(const Run&, const Run&) = default;
};

class Space {
 public:
    /// Clusters from `cluster` on have never been used.
    void set_end(std::uint64_t cluster) noexcept { end_ = cluster; }
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    void add_free(Run run);

    /// One to `wanted` clusters in a row: reused ones if there are, else at the end.
    [[nodiscard]] Run allocate(std::uint64_t wanted);
    /// `count` clusters in a row, always at the end.
    [[nodiscard]] Run append(std::uint64_t count);
    /// The same, and whoever asks counts them.
    [[nodiscard]] Run append_uncounted(std::uint64_t count) noexcept;
    /// Already in use, and not counted yet.
    void adopt(Run run);
    /// Nothing will point there once the next checkpoint is done.
    void release(Run run);

    [[nodiscard]] std::vector<Run> take_allocated() noexcept { return std::exchange(allocated_, {}); }
    [[nodiscard]] std::vector<Run> take_released() noexcept { return std::exchange(released_, {}); }
    /// A checkpoint failed: what it took is to do again, before anything newer.
    void put_back(std::vector<Run> allocated, std::vector<Run> released);

    [[nodiscard]] bool anything_to_count() const noexcept { return !allocated_.empty() || !released_.empty(); }
    [[nodiscard]] std::uint64_t released_clusters() const noexcept;
    [[nodiscard]] std::uint64_t free_clusters() const noexcept;

 private:
    std::uint64_t end_ = 0;
    std::map<std::uint64_t, std::uint64_t> free_;  ///< first → count; runs never touch
    std::vector<Run> allocated_, released_;
};

}  // namespace diskless::storage::qcow2
