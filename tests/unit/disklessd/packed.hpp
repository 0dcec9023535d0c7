// Bytes packed by the libraries themselves, and files of a test.
#pragma once

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>

#include "disklessd/importing/format.hpp"

inline std::string gzip(std::string plain) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string packed(deflateBound(&stream, plain.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error{"deflate"};
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

inline std::string xz(const std::string& plain) {
    std::string packed(lzma_stream_buffer_bound(plain.size()), '\0');
    std::size_t size = 0;
    if (lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const std::uint8_t*>(plain.data()), plain.size(),
                                reinterpret_cast<std::uint8_t*>(packed.data()), &size, packed.size()) != LZMA_OK)
        throw std::runtime_error{"lzma"};
    packed.resize(size);
    return packed;
}

inline std::string zstd(const std::string& plain) {
    std::string packed(ZSTD_compressBound(plain.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 1));
    return packed;
}

inline std::string packed(const std::string& plain, diskless::importing::Packing packing) {
    using enum diskless::importing::Packing;
    switch (packing) {
        case gzip: return ::gzip(plain);
        case xz: return ::xz(plain);
        case zstd: return ::zstd(plain);
        case none: break;
    }
    return plain;
}

/// Always the same; no two blocks alike.
inline std::string noise(std::size_t size, unsigned seed = 1) {
    std::mt19937 random{seed};
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream{path, std::ios::binary} << bytes;
}

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}
