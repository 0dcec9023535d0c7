// Bytes on the wire: big-endian loads and stores, and two bounded cursors. Everything here is noexcept and never reads or writes out of
// bounds.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace diskless {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

inline ByteSpan as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span{text.data(), text.size()}); }
inline std::string_view as_text(ByteSpan bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Big-endian value at `at`; the caller has checked that at + sizeof(T) <= bytes.size().
template<std::unsigned_integral T>
[[nodiscard]] T load_be(ByteSpan bytes, std::size_t at) noexcept {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) value = std::byteswap(value);
    return value;
}

template<std::unsigned_integral T>
void store_be(MutableByteSpan bytes, std::size_t at, T value) noexcept {
    if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) value = std::byteswap(value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// 24-bit lengths of iSCSI and SCSI.
[[nodiscard]] inline std::uint32_t load_be24(ByteSpan bytes, std::size_t at) noexcept {
    return std::uint32_t{load_be<std::uint8_t>(bytes, at)} << 16 | load_be<std::uint16_t>(bytes, at + 1);
}
inline void store_be24(MutableByteSpan bytes, std::size_t at, std::uint32_t value) noexcept {
    store_be(bytes, at, static_cast<std::uint8_t>(value >> 16));
    store_be(bytes, at + 1, static_cast<std::uint16_t>(value));
}

/// Reads forward; a read past the end yields zero (or an empty span) and makes ok() false for good.
class ByteReader {
 public:
    explicit ByteReader(ByteSpan bytes) noexcept : bytes_{bytes} {}

    template<std::unsigned_integral T>
    [[nodiscard]] T be() noexcept {
        const ByteSpan taken = bytes(sizeof(T));
        return taken.size() == sizeof(T) ? load_be<T>(taken, 0) : T{0};
    }
    [[nodiscard]] std::uint8_t u8() noexcept { return be<std::uint8_t>(); }

    /// The next `count` bytes, a view into the input.
    [[nodiscard]] ByteSpan bytes(std::size_t count) noexcept {
        if (count > remaining()) {
            ok_ = false;
            at_ = bytes_.size();
            return {};
        }
        const ByteSpan taken = bytes_.subspan(at_, count);
        at_ += count;
        return taken;
    }
    void skip(std::size_t count) noexcept { (void)bytes(count); }

    [[nodiscard]] ByteSpan rest() const noexcept { return bytes_.subspan(at_); }
    [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - at_; }
    [[nodiscard]] std::size_t position() const noexcept { return at_; }
    [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
    ByteSpan bytes_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

/// Writes forward into a fixed buffer; what does not fit is not written and makes ok() false for good.
class ByteWriter {
 public:
    explicit ByteWriter(MutableByteSpan bytes) noexcept : bytes_{bytes} {}

    template<std::unsigned_integral T>
    void be(T value) noexcept {
        if (const MutableByteSpan room = take(sizeof(T)); !room.empty()) store_be(room, 0, value);
    }
    void u8(std::uint8_t value) noexcept { be(value); }
    void bytes(ByteSpan source) noexcept {
        if (source.empty()) return;
        if (const MutableByteSpan room = take(source.size()); !room.empty()) std::memcpy(room.data(), source.data(), source.size());
    }
    void text(std::string_view source) noexcept { bytes(as_bytes(source)); }
    void zeros(std::size_t count) noexcept {
        if (count == 0) return;
        if (const MutableByteSpan room = take(count); !room.empty()) std::memset(room.data(), 0, room.size());
    }

    [[nodiscard]] ByteSpan written() const noexcept { return ByteSpan{bytes_}.first(at_); }
    [[nodiscard]] std::size_t size() const noexcept { return at_; }
    [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - at_; }
    [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
    MutableByteSpan take(std::size_t count) noexcept {
        if (!ok_ || count > remaining()) {
            ok_ = false;
            return {};
        }
        const MutableByteSpan room = bytes_.subspan(at_, count);
        at_ += count;
        return room;
    }

    MutableByteSpan bytes_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

}  // namespace diskless
