// DiskFile: the file that becomes a version. Written from front to back, runs of zeros stay holes, and what was written is digested on the
// way (FIPS 180-4, SHA-256).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/bytes.hpp"

struct evp_md_ctx_st;

namespace diskless::importing {

class Sha256 {
 public:
    Sha256();
    void update(ByteSpan bytes);
    /// "sha256:<64 hexadecimal digits>". Once.
    [[nodiscard]] std::string finish();

 private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const noexcept;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

class DiskFile {
 public:
    /// Called with how far a long piece of work is; may throw to end it.
    using Seen = std::function<void(std::uint64_t bytes)>;

    /// Opens or makes it. Throws ImportError.
    explicit DiskFile(std::filesystem::path path);
    ~DiskFile();
    DiskFile(const DiskFile&) = delete;
    DiskFile& operator=(const DiskFile&) = delete;

    /// Keeps the first `bytes`, digests them and goes on behind them; 0: begins anew. False: there is not that much.
    bool resume(std::uint64_t bytes, const Seen& seen);
    void append(ByteSpan bytes);
    /// Shares the blocks of `source` instead of a copy; false: the file system cannot.
    [[nodiscard]] bool clone(int source);
    /// Everything up to here is on stable storage.
    void sync();

    /// Pads to whole sectors of 512 bytes (how many bytes that took), makes the file read-only and puts it on stable storage.
    std::uint64_t finish();

    [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_; }
    [[nodiscard]] int descriptor() const noexcept { return file_; }
    /// After finish().
    [[nodiscard]] std::string digest() { return digest_.finish(); }

 private:
    void write(ByteSpan bytes, std::uint64_t at);
    [[noreturn]] void fail(int reason) const;

    std::filesystem::path path_;
    int file_ = -1;
    std::uint64_t size_ = 0;
    Sha256 digest_;
};

/// Renames or removes are on stable storage when their folder is. Throws ImportError.
void sync_folder(const std::filesystem::path& folder);

}  // namespace diskless::importing
