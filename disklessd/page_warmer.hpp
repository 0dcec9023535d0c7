// PageWarmer: brings pieces of files into the page cache, in order, with so little under way at once that others' reads hardly wait.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

#include "storage/boot_set.hpp"

namespace diskless {

/// What the kernel says that programs may still use.
[[nodiscard]] std::uint64_t available_memory_bytes();

class PageWarmer {
 public:
    /// At most `budget_bytes`; ends early when `stopping` becomes true.
    PageWarmer(std::uint64_t budget_bytes, const std::atomic<bool>& stopping) : budget_bytes_{budget_bytes}, stopping_{stopping} {}

    /// Returns when it is there. Blocks; a file that cannot be read is left out.
    void warm(const std::filesystem::path& path, const storage::BootSet::File& file);
    [[nodiscard]] std::uint64_t warmed_bytes() const noexcept { return warmed_bytes_; }

 private:
    std::uint64_t budget_bytes_;
    const std::atomic<bool>& stopping_;
    std::uint64_t warmed_bytes_ = 0;
};

}  // namespace diskless
