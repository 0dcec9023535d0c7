// Random operations from many threads, beside a raw file that holds what the disk has to hold. Both files and the list of what is under way
// are memory that outlives the process: after a kill they say what had been acknowledged.
#pragma once

#include <filesystem>
#include <mutex>
#include <random>
#include <vector>

#include "storage/block_device.hpp"

namespace diskless::exercise {

/// A file of fixed size as shared memory.
class SharedFile {
 public:
    SharedFile(const std::filesystem::path& path, std::uint64_t bytes);
    ~SharedFile();
    SharedFile(const SharedFile&) = delete;
    SharedFile& operator=(const SharedFile&) = delete;
    [[nodiscard]] MutableByteSpan bytes() const noexcept { return bytes_; }
    /// Whether it had any bytes before.
    [[nodiscard]] bool was_there() const noexcept { return was_there_; }

 private:
    MutableByteSpan bytes_;
    bool was_there_ = false;
};

struct Plan {
    std::uint64_t seed = 1;
    std::uint64_t operations = 1000;  ///< of all threads together
    unsigned threads = 16;            ///< each has one operation under way
    std::uint64_t area_bytes = 0;     ///< half of the operations fall into this much of the beginning; 0: an eighth of the disk
    std::uint64_t max_bytes = 512 << 10;
    bool may_fail = false;  ///< for want of space
};

class Workload {
 public:
    /// `expected` is made if there is none, from what the disk holds; `expected`.pending tells what is under way.
    Workload(storage::BlockDevice& disk, const std::filesystem::path& expected);

    /// Throws std::runtime_error at the first read that finds something else.
    void run(const Plan& plan);
    /// Compares all of the disk. What was under way when somebody was killed may be there or not, sector by sector; from then on it is
    /// what it is. Throws std::runtime_error.
    void verify();
    [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

 private:
    struct Operation {
        std::uint64_t kind = 0;  ///< of IoKind
        std::uint64_t offset_bytes = 0, length_bytes = 0;
        std::uint64_t stamp = 0;  ///< 0: zeros
        std::uint64_t under_way = 0;
    };
    static constexpr std::size_t max_threads = 64;

    void work(const Plan& plan, unsigned thread);
    [[nodiscard]] Operation choose(const Plan& plan, std::mt19937_64& random, Operation& place);
    void perform(const Operation& operation, bool may_fail);
    void give_up(const std::string& why);

    storage::BlockDevice& disk_;
    SharedFile expected_, pending_;
    std::mutex mutex_;
    std::uint64_t started_ = 0, failures_ = 0;
    std::string trouble_;
};

}  // namespace diskless::exercise
