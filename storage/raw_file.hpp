// RawFile: an open raw disk file (or block device) and the system calls on it. Owns the descriptor and the lock that keeps a second writer
// out. Everything here may block: raw.cpp decides what runs inline and what a backend runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>

#include "storage/block_device.hpp"

namespace diskless::storage {

struct RawOptions {
    bool read_only = false;
    std::uint64_t create_bytes = 0;  ///< not 0: make a sparse file of this size when there is none, and grow a smaller one
    bool growable = false;           ///< may be empty; writes beyond the end make it larger, and the geometry says what it was at first
    std::uint32_t logical_block_bytes = 512;
    std::uint32_t physical_block_bytes = 4096;  ///< at least logical_block_bytes
    bool thin = true;                           ///< discard gives space back, where the file system can
};

class RawFile {
 public:
    /// Throws std::runtime_error: what is wrong with the file, and what to do.
    RawFile(const std::filesystem::path& path, const RawOptions& options);
    ~RawFile();
    RawFile(const RawFile&) = delete;
    RawFile& operator=(const RawFile&) = delete;

    /// Performs the whole request, however long it takes, and sets its error.
    void perform(IoRequest& request) noexcept;
    /// Performs it only if that needs no waiting. False: nothing is decided, perform() must run elsewhere.
    [[nodiscard]] bool perform_without_waiting(IoRequest& request) noexcept;

    [[nodiscard]] int descriptor() const noexcept { return fd_; }
    [[nodiscard]] const Geometry& geometry() const noexcept { return geometry_; }

 private:
    /// How the file system lets an I/O thread read or write without the risk of waiting for the disk.
    enum class Inline : std::uint8_t { never, nowait, always };

    void open(const std::filesystem::path& path, const RawOptions& options);
    void lock(const std::filesystem::path& path) const;
    void measure(const std::filesystem::path& path, const RawOptions& options);
    void probe() noexcept;
    [[nodiscard]] bool read_without_waiting(IoRequest& request) noexcept;
    [[nodiscard]] bool write_without_waiting(IoRequest& request) noexcept;
    [[nodiscard]] int transfer(const IoRequest& request) noexcept;  // 0 or errno, as the next ones
    [[nodiscard]] int why_durable_write_failed(std::span<const iovec> pieces, std::uint64_t offset_bytes, int error) noexcept;
    [[nodiscard]] int zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool deallocate) noexcept;
    [[nodiscard]] int find_extents(IoRequest& request) const noexcept;
    [[nodiscard]] int sync() noexcept;

    int fd_ = -1;
    Geometry geometry_;
    Inline inline_reads_ = Inline::never;
    std::atomic<Inline> inline_writes_{Inline::never};
    // After a failed fsync the kernel forgets which pages were lost: no later flush may claim that everything is on the disk. It also tells
    // only one of two fsyncs under way, so there is one at a time.
    std::mutex syncing_;
    std::atomic<bool> sync_failed_{false};
};

}  // namespace diskless::storage
