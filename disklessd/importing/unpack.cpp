#include "disklessd/importing/unpack.hpp"

#include <fmt/format.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "disklessd/importing/error.hpp"

namespace diskless::importing {
namespace {

constexpr std::size_t buffer_bytes = 256 << 10;
constexpr const char* broken_off = "is broken off: its packed data ends too early; get it again";
constexpr const char* damaged = "is damaged: its packed data makes no sense; get it again";
constexpr const char* wants_much = "was packed with a window larger than 128 MiB; pack it again with a smaller one";

class File final : public Source {
 public:
    explicit File(int file) : file_{file} {}

    std::size_t read(MutableByteSpan out) override {
        std::size_t done = 0;
        while (done < out.size()) {
            const ssize_t n = ::pread(file_, out.data() + done, out.size() - done, static_cast<off_t>(at_));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw ImportError{fmt::format("cannot be read: {}; check the medium it is on", std::strerror(errno))};
            if (n == 0) break;
            done += static_cast<std::size_t>(n);
            at_ += static_cast<std::uint64_t>(n);
        }
        return done;
    }
    void skip(std::uint64_t count) override { at_ += count; }
    [[nodiscard]] std::uint64_t position() const noexcept override { return at_; }

 private:
    int file_;
    std::uint64_t at_ = 0;
};

/// What the three libraries have in common: packed bytes come from a buffer over the file.
class Unpacker : public Source {
 public:
    explicit Unpacker(int file) : file_{file}, buffer_(buffer_bytes) {}

    std::size_t read(MutableByteSpan out) final {
        std::size_t done = 0;
        while (done < out.size() && !over_) {
            if (left_.empty()) left_ = ByteSpan{buffer_}.first(file_.read(buffer_));
            const std::size_t n = unpack(left_, out.subspan(done), left_.empty());
            done += n;
        }
        return done;
    }
    void skip(std::uint64_t count) final {
        std::vector<std::byte> ignored(buffer_bytes);
        while (count > 0) {
            const std::size_t n = read(MutableByteSpan{ignored}.first(std::min<std::uint64_t>(count, ignored.size())));
            if (n == 0) throw ImportError{broken_off};
            count -= n;
        }
    }
    [[nodiscard]] std::uint64_t position() const noexcept final { return file_.position() - left_.size(); }

 protected:
    /// Takes bytes off `packed`, returns how many it made. `end`: there are no more after these.
    virtual std::size_t unpack(ByteSpan& packed, MutableByteSpan out, bool end) = 0;
    void be_over() noexcept { over_ = true; }

 private:
    File file_;
    std::vector<std::byte> buffer_;
    ByteSpan left_;
    bool over_ = false;
};

class Gzip final : public Unpacker {
 public:
    explicit Gzip(int file) : Unpacker{file} {
        constexpr int gzip_only = 15 + 16;
        if (::inflateInit2(&stream_, gzip_only) != Z_OK) throw ImportError{"cannot be unpacked: there is no memory left"};
    }
    ~Gzip() override { ::inflateEnd(&stream_); }
    Gzip(const Gzip&) = delete;
    Gzip& operator=(const Gzip&) = delete;

 private:
    std::size_t unpack(ByteSpan& packed, MutableByteSpan out, bool end) override {
        if (between_members_ && (end || !begin_member(packed))) {
            be_over();
            return 0;
        }
        stream_.next_in = std::bit_cast<Bytef*>(packed.data());
        stream_.avail_in = static_cast<uInt>(packed.size());
        stream_.next_out = std::bit_cast<Bytef*>(out.data());
        stream_.avail_out = static_cast<uInt>(out.size());
        const int code = ::inflate(&stream_, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) throw ImportError{damaged};
        packed = packed.last(stream_.avail_in);
        between_members_ = code == Z_STREAM_END;
        const std::size_t made = out.size() - stream_.avail_out;
        if (end && made == 0 && !between_members_) throw ImportError{broken_off};
        return made;
    }

    /// Members follow each other (RFC 1952 2.2); what comes after the last, zeros of a tape for example, is nobody's.
    bool begin_member(ByteSpan packed) {
        constexpr std::byte magic{0x1f};
        if (packed.front() != magic) return false;
        ::inflateReset(&stream_);
        between_members_ = false;
        return true;
    }

    z_stream stream_{};
    bool between_members_ = true;
};

class Xz final : public Unpacker {
 public:
    explicit Xz(int file) : Unpacker{file} {
        if (::lzma_stream_decoder(&stream_, max_unpack_memory_bytes, LZMA_CONCATENATED) != LZMA_OK)
            throw ImportError{"cannot be unpacked: there is no memory left"};
    }
    ~Xz() override { ::lzma_end(&stream_); }
    Xz(const Xz&) = delete;
    Xz& operator=(const Xz&) = delete;

 private:
    std::size_t unpack(ByteSpan& packed, MutableByteSpan out, bool end) override {
        stream_.next_in = std::bit_cast<const std::uint8_t*>(packed.data());
        stream_.avail_in = packed.size();
        stream_.next_out = std::bit_cast<std::uint8_t*>(out.data());
        stream_.avail_out = out.size();
        const lzma_ret code = ::lzma_code(&stream_, end ? LZMA_FINISH : LZMA_RUN);
        packed = packed.last(stream_.avail_in);
        switch (code) {
            case LZMA_OK: break;
            case LZMA_STREAM_END: be_over(); break;
            case LZMA_BUF_ERROR: throw ImportError{broken_off};
            case LZMA_MEMLIMIT_ERROR: throw ImportError{wants_much};
            case LZMA_MEM_ERROR: throw ImportError{"cannot be unpacked: there is no memory left"};
            default: throw ImportError{damaged};
        }
        return out.size() - stream_.avail_out;
    }

    lzma_stream stream_ = LZMA_STREAM_INIT;
};

class Zstd final : public Unpacker {
 public:
    explicit Zstd(int file) : Unpacker{file}, context_{::ZSTD_createDCtx()} {
        if (!context_) throw ImportError{"cannot be unpacked: there is no memory left"};
        constexpr int window_log = 27;  // 128 MiB, within max_unpack_memory_bytes
        ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, window_log);
    }

 private:
    std::size_t unpack(ByteSpan& packed, MutableByteSpan out, bool end) override {
        ZSTD_inBuffer in{packed.data(), packed.size(), 0};
        ZSTD_outBuffer made{out.data(), out.size(), 0};
        const std::size_t code = ::ZSTD_decompressStream(context_.get(), &made, &in);
        if (::ZSTD_isError(code) != 0) {
            const auto error = ::ZSTD_getErrorCode(code);
            throw ImportError{error == ZSTD_error_frameParameter_windowTooLarge ? wants_much : damaged};
        }
        packed = packed.subspan(in.pos);
        if (in.pos > 0 || made.pos > 0) between_frames_ = code == 0;
        if (end && made.pos == 0) {
            if (!between_frames_) throw ImportError{broken_off};
            be_over();
        }
        return made.pos;
    }

    struct Free {
        void operator()(ZSTD_DCtx* context) const noexcept { ::ZSTD_freeDCtx(context); }
    };
    std::unique_ptr<ZSTD_DCtx, Free> context_;
    bool between_frames_ = false;
};

}  // namespace

std::unique_ptr<Source> open_source(int file, Packing packing) {
    switch (packing) {
        case Packing::none: return std::make_unique<File>(file);
        case Packing::gzip: return std::make_unique<Gzip>(file);
        case Packing::xz: return std::make_unique<Xz>(file);
        case Packing::zstd: return std::make_unique<Zstd>(file);
    }
    return nullptr;
}

}  // namespace diskless::importing
