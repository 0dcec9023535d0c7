#include "services/iscsi/scsi/inquiry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

namespace diskless::scsi {
namespace {

constexpr std::string_view vendor = "DISKLESS";           // T10 vendor identification, 8 bytes
constexpr std::string_view product = "VIRTUAL-DISK    ";  // 16 bytes
constexpr std::string_view revision = "0001";
constexpr std::uint8_t direct_access_device = 0x00;
constexpr std::uint8_t no_unit = 0x7f;  // qualifier 011b, type 1Fh: nothing there, and could not be
constexpr std::array<std::uint8_t, 7> pages{0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2};

/// FNV-1a: stable across versions and machines, which std::hash is not. Two units that collide would need 2^32 of them.
std::uint64_t stable_hash(const Identity& identity) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : fmt::format("{},{}", identity.target_name, identity.lun)) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3;
    }
    return hash;
}

/// SPC-4 7.8.6.1. `association`: 0 logical unit, 1 target port.
void write_designator(ByteWriter& out, std::uint8_t code_set, std::uint8_t association, std::uint8_t type, ByteSpan value) {
    constexpr std::uint8_t iscsi_protocol = 0x50;
    const bool port = association != 0;
    out.u8(static_cast<std::uint8_t>((port ? iscsi_protocol : 0) | code_set));
    out.u8(static_cast<std::uint8_t>((port ? 0x80 : 0) | association << 4 | type));
    out.u8(0);
    out.u8(static_cast<std::uint8_t>(value.size()));
    out.bytes(value);
}

/// SCSI name strings are NUL-terminated and padded to four bytes (SPC-4 7.8.6.11).
std::string name_string(std::string name) {
    name.resize((name.size() / 4 + 1) * 4, '\0');
    return name;
}

void write_device_identification(ByteWriter& out, const Identity& identity) {
    constexpr std::uint8_t binary = 1;
    constexpr std::uint8_t ascii = 2;
    constexpr std::uint8_t utf8 = 3;
    std::array<std::byte, 8> naa{};
    store_be<std::uint64_t>(naa, 0, std::uint64_t{0x3} << 60 | stable_hash(identity) >> 4);  // NAA 3: locally assigned
    write_designator(out, binary, 0, 3, naa);
    write_designator(out, ascii, 0, 1, as_bytes(std::string{vendor} + serial_number(identity)));
    write_designator(out, utf8, 0, 8, as_bytes(name_string(fmt::format("{},L,0x{:04x}", identity.target_name, identity.lun))));
    write_designator(out, utf8, 1, 8, as_bytes(name_string(identity.target_name + ",t,0x0001")));
    std::array<std::byte, 4> one{};
    one[3] = std::byte{1};
    write_designator(out, binary, 1, 4, one);  // relative target port identifier 1
    write_designator(out, binary, 1, 5, one);  // target port group 1
}

// SBC-3 6.6.4. Limits in logical blocks.
void write_block_limits(ByteWriter& out, const storage::Geometry& geometry) {
    const std::uint32_t block = geometry.logical_block_bytes;
    const std::uint32_t granularity = geometry.physical_block_bytes / block;
    out.u8(0);  // WSNZ 0: WRITE SAME of zero blocks goes to the end
    out.u8(max_compare_and_write_blocks);
    out.be(static_cast<std::uint16_t>(granularity));
    out.be(static_cast<std::uint32_t>(max_transfer_bytes / block));
    out.be(static_cast<std::uint32_t>((std::uint64_t{1} << 20) / block));  // optimal: 1 MiB
    out.be<std::uint32_t>(0);
    out.be<std::uint32_t>(geometry.can_discard ? 0xffffffff : 0);
    out.be<std::uint32_t>(geometry.can_discard ? max_unmap_descriptors : 0);
    out.be<std::uint32_t>(geometry.can_discard ? granularity : 0);
    out.be<std::uint32_t>(geometry.can_discard ? 0x80000000 : 0);  // UGAVALID, aligned at 0
    out.be(max_write_same_bytes / block);
    out.zeros(20);
}

}  // namespace

bool is_designator_of(const Identity& identity, ByteSpan designator) {
    std::array<std::byte, 256> room{};
    ByteWriter ours{room};
    write_device_identification(ours, identity);
    for (ByteSpan rest = ours.written(); rest.size() >= 4;) {
        const std::size_t length = 4 + std::size_t{load_be<std::uint8_t>(rest, 3)};
        const bool of_the_unit = (load_be<std::uint8_t>(rest, 1) >> 4 & 3) == 0;
        // Code set, association and type, and the value; the protocol identifier is not compared.
        const bool same = of_the_unit && designator.size() >= length && (designator[0] & std::byte{0x0f}) == (rest[0] & std::byte{0x0f}) &&
                          (designator[1] & std::byte{0x3f}) == (rest[1] & std::byte{0x3f}) &&
                          std::ranges::equal(designator.subspan(3, length - 3), rest.subspan(3, length - 3));
        if (same) return true;
        rest = rest.subspan(length);
    }
    return false;
}

std::string serial_number(const Identity& identity) { return fmt::format("{:016x}", stable_hash(identity)); }

void write_standard_inquiry(ByteWriter& out, bool unit_present, bool removable) {
    out.u8(unit_present ? direct_access_device : no_unit);
    out.u8(removable ? 0x80 : 0);
    out.u8(6);     // SPC-4
    out.u8(0x12);  // HISUP, response data format 2
    out.u8(96 - 5);
    out.u8(0x18);  // TPGS implicit, 3PC: EXTENDED COPY
    out.u8(0);
    out.u8(0x02);  // CMDQUE
    out.text(vendor);
    out.text(product);
    out.text(revision);
    out.zeros(58 - 36);
    for (const std::uint16_t version : std::to_array<std::uint16_t>({0x00a0, 0x0960, 0x0460, 0x04c0}))
        out.be(version);  // SAM-5, iSCSI, SPC-4, SBC-3
    out.zeros(96 - 66);
}

bool write_vpd_page(ByteWriter& out, std::uint8_t page, const Identity& identity, const storage::Geometry& geometry) {
    std::array<std::byte, 1024> room{};
    ByteWriter body{room};
    switch (page) {
        case 0x00:
            for (const std::uint8_t p : pages) body.u8(p);
            break;
        case 0x80: body.text(serial_number(identity)); break;
        case 0x83: write_device_identification(body, identity); break;
        case 0x86:
            body.u8(0);
            body.u8(0x07);  // HEADSUP, ORDSUP, SIMPSUP: task attributes are accepted
            body.zeros(58);
            break;
        case 0xb0: write_block_limits(body, geometry); break;
        case 0xb1:
            body.be<std::uint16_t>(1);  // not a rotating medium
            body.zeros(1);
            body.u8(identity.sanitize ? 0x50
                                      : 0);  // WABEREQ, WACEREQ 01b: after an erase the blocks read as zeros, without being written first
            body.zeros(56);
            break;
        case 0xb2:
            body.u8(0);
            body.u8(geometry.can_discard ? 0xe4 : 0);  // LBPU, LBPWS, LBPWS10, LBPRZ
            body.u8(geometry.can_discard ? 2 : 0);     // thin
            body.u8(0);
            break;
        default: return false;
    }
    out.u8(direct_access_device);
    out.u8(page);
    out.be(static_cast<std::uint16_t>(body.size()));
    out.bytes(body.written());
    return true;
}

}  // namespace diskless::scsi
