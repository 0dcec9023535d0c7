// What a file to be imported is: recognised by its first bytes and its name, or stated by the user; nothing is ever left to qemu-img's
// guess, for a guest could have written those bytes. Pure.
//
// Magic: RFC 1952 (gzip), the xz file format 1.2, RFC 8878 (zstd), qcow2 (QEMU docs/interop/qcow2), VMDK 5.0 "Virtual Disk Format",
// VHD ("Virtual Hard Disk Image Format Specification"), MS-VHDX 2.2.1, ISO 9660 / ECMA-119 8.1.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "common/bytes.hpp"

namespace diskless::importing {

enum class Packing : std::uint8_t { none, gzip, xz, zstd };
enum class Format : std::uint8_t { raw, iso, qcow2, vmdk, vpc, vhdx };

/// What format_of() wants to see of a file, if it has as much.
inline constexpr std::size_t head_bytes = 33 << 10;  // an ISO's first volume descriptor is in sector 16 of 2048 bytes

/// "raw", "iso", "qcow2", "vmdk", "vpc", "vhdx": qemu-img's names.
[[nodiscard]] std::string_view name_of(Format format) noexcept;
/// As a user states it: the names above, and "vhd" and "img". The error says what there is.
[[nodiscard]] std::expected<Format, std::string> parse_format(std::string_view name);

/// By magic; a name that promises another packing is an error.
[[nodiscard]] std::expected<Packing, std::string> packing_of(std::string_view file_name, ByteSpan head);
/// Of what is inside the packing. `stated`: the user's word, empty for none.
[[nodiscard]] std::expected<Format, std::string> format_of(std::string_view file_name, ByteSpan head, std::string_view stated);

/// Why this may not be given to qemu-img: it names other files, or is encrypted; empty: it may.
[[nodiscard]] std::string refusal_of(Format format, ByteSpan head);

}  // namespace diskless::importing
