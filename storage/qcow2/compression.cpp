#include "storage/qcow2/compression.hpp"

#include <zlib.h>
#include <zstd.h>

#include <memory>

namespace diskless::storage::qcow2 {
namespace {

constexpr int deflate_window_bits = -12;  // raw deflate; QEMU writes a window of 4 KiB, and readers have to take any
constexpr int inflate_window_bits = -15;
constexpr int zstd_level = 3;

Bytef* bytes_of(ByteSpan span) noexcept {
    return reinterpret_cast<Bytef*>(
        const_cast<std::byte*>(span.data()));  // NOLINT(cppcoreguidelines-pro-type-const-cast): zlib's old interface
}

bool inflate_all(ByteSpan stretch, MutableByteSpan cluster) {
    z_stream stream{};
    if (::inflateInit2(&stream, inflate_window_bits) != Z_OK) return false;
    stream.next_in = bytes_of(stretch);
    stream.avail_in = static_cast<uInt>(stretch.size());
    stream.next_out = bytes_of(cluster);
    stream.avail_out = static_cast<uInt>(cluster.size());
    const int result = ::inflate(&stream, Z_FINISH);
    ::inflateEnd(&stream);
    return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0;
}

// The stretch goes on after the frame, and the frame does not always say how long it is: as a stream, until the cluster is full.
bool unzstd_all(ByteSpan stretch, MutableByteSpan cluster) {
    const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), &ZSTD_freeDCtx};
    ZSTD_inBuffer in{stretch.data(), stretch.size(), 0};
    ZSTD_outBuffer out{cluster.data(), cluster.size(), 0};
    while (out.pos < out.size) {
        const std::size_t in_before = in.pos, out_before = out.pos;
        const std::size_t result = ZSTD_decompressStream(context.get(), &out, &in);
        if (ZSTD_isError(result) != 0 || (result == 0 && out.pos < out.size)) return false;
        if (in.pos == in_before && out.pos == out_before) return false;
    }
    return true;
}

std::optional<std::vector<std::byte>> deflated(ByteSpan cluster) {
    z_stream stream{};
    if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, deflate_window_bits, 9, Z_DEFAULT_STRATEGY) != Z_OK) return std::nullopt;
    std::vector<std::byte> out(cluster.size());
    stream.next_in = bytes_of(cluster);
    stream.avail_in = static_cast<uInt>(cluster.size());
    stream.next_out = bytes_of(out);
    stream.avail_out = static_cast<uInt>(out.size());
    const int result = ::deflate(&stream, Z_FINISH);
    ::deflateEnd(&stream);
    if (result != Z_STREAM_END || stream.avail_out == 0) return std::nullopt;
    out.resize(out.size() - stream.avail_out);
    return out;
}

}  // namespace

bool decompress(Compression how, ByteSpan stretch, MutableByteSpan cluster) {
    return how == Compression::zstd ? unzstd_all(stretch, cluster) : inflate_all(stretch, cluster);
}

std::optional<std::vector<std::byte>> compress(Compression how, ByteSpan cluster) {
    if (how == Compression::deflate) return deflated(cluster);
    std::vector<std::byte> out(cluster.size());
    const std::size_t size = ZSTD_compress(out.data(), out.size() - 1, cluster.data(), cluster.size(), zstd_level);
    if (ZSTD_isError(size) != 0) return std::nullopt;
    out.resize(size);
    return out;
}

}  // namespace diskless::storage::qcow2
