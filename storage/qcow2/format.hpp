// The qcow2 file format (docs/interop/qcow2 of QEMU): header, extensions, and what an L2 entry says. Pure: bytes in, values out.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::storage::qcow2 {

inline constexpr std::uint32_t magic = 0x514649fb;
inline constexpr std::uint64_t max_l1_bytes = std::uint64_t{32} << 20;
inline constexpr std::uint64_t max_refcount_table_bytes = std::uint64_t{8} << 20;
inline constexpr std::size_t max_backing_name = 1023;

namespace incompatible {
inline constexpr std::uint64_t dirty = 1, corrupt = 2, external_data = 4, compression_type = 8, extended_l2 = 16;
}
namespace compatible {
inline constexpr std::uint64_t lazy_refcounts = 1;
}

enum class Compression : std::uint8_t { deflate = 0, zstd = 1 };

struct Extension {
    std::uint32_t type = 0;
    std::vector<std::byte> data;
    friend bool operator==(const Extension&, const Extension&) = default;
};

struct Header {
    std::uint32_t version = 3;  ///< 2 has no features, no zero clusters, and 16-bit refcounts
    unsigned cluster_bits = 16;
    std::uint64_t size_bytes = 0;  ///< of the disk
    std::uint32_t l1_entries = 0;
    std::uint64_t l1_offset = 0;
    std::uint64_t refcount_table_offset = 0;
    std::uint32_t refcount_table_clusters = 0;
    std::uint32_t snapshot_count = 0;
    std::uint64_t snapshots_offset = 0;
    std::uint64_t incompatible = 0, compatible = 0, autoclear = 0;
    unsigned refcount_order = 4;  ///< a count has 1 << order bits
    Compression compression = Compression::deflate;
    std::string backing_name;           ///< as the file says; whoever opens it decides what it means
    std::string backing_format;         ///< "raw", "qcow2"; empty: not stated
    std::vector<Extension> extensions;  ///< all but the backing format's, kept as they are
    friend bool operator==(const Header&, const Header&) = default;

    [[nodiscard]] bool has_extended_l2() const noexcept { return (incompatible & incompatible::extended_l2) != 0; }
    [[nodiscard]] std::uint64_t cluster_bytes() const noexcept { return std::uint64_t{1} << cluster_bits; }
};

/// From the file's first bytes: all of its first cluster, or as much as the file has. The error is one line for people.
[[nodiscard]] std::expected<Header, std::string> parse_header(ByteSpan first_cluster, std::uint64_t file_bytes);
/// The whole first cluster. The backing name and the extensions have to fit: `false` of fits() says they do not.
[[nodiscard]] std::vector<std::byte> encode_header(const Header& header);
[[nodiscard]] bool fits(const Header& header);

/// How clusters, tables and counts relate for one image.
class Layout {
 public:
    explicit Layout(const Header& header) noexcept;

    unsigned cluster_bits;
    std::uint64_t cluster_bytes;
    unsigned entry_words;      ///< 64-bit words of an L2 entry: 1, or 2 with subclusters
    unsigned l2_bits;          ///< entries of an L2 table: 1 << l2_bits
    unsigned subclusters;      ///< of a cluster: 1 or 32
    unsigned subcluster_bits;  ///< log2 of a subcluster's bytes
    unsigned refcount_bits;    ///< of one count
    std::uint64_t counts_per_block;

    [[nodiscard]] std::uint64_t subcluster_bytes() const noexcept { return std::uint64_t{1} << subcluster_bits; }
    [[nodiscard]] std::uint64_t l2_entries() const noexcept { return std::uint64_t{1} << l2_bits; }
    /// Guest bytes that one L2 table maps.
    [[nodiscard]] std::uint64_t l2_reach() const noexcept { return cluster_bytes << l2_bits; }
    [[nodiscard]] std::uint32_t l1_index(std::uint64_t guest) const noexcept {
        return static_cast<std::uint32_t>(guest >> (cluster_bits + l2_bits));
    }
    [[nodiscard]] std::uint32_t l2_index(std::uint64_t guest) const noexcept {
        return static_cast<std::uint32_t>((guest >> cluster_bits) & (l2_entries() - 1));
    }
    [[nodiscard]] unsigned subcluster_index(std::uint64_t guest) const noexcept {
        return static_cast<unsigned>((guest & (cluster_bytes - 1)) >> subcluster_bits);
    }
    [[nodiscard]] std::uint64_t in_cluster(std::uint64_t offset) const noexcept { return offset & (cluster_bytes - 1); }
    [[nodiscard]] std::uint64_t round_up(std::uint64_t bytes) const noexcept { return (bytes + cluster_bytes - 1) & ~(cluster_bytes - 1); }
};

/// What a subcluster holds.
enum class Content : std::uint8_t {
    unallocated,  ///< the backing file's, or zeros without one
    zero,
    data,        ///< at the entry's host offset
    compressed,  ///< the whole cluster is
};

/// An L2 entry. Without subclusters the bitmap is not used.
struct Entry {
    static constexpr std::uint64_t copied = std::uint64_t{1} << 63;
    static constexpr std::uint64_t compressed = std::uint64_t{1} << 62;
    static constexpr std::uint64_t zero = 1;
    static constexpr std::uint64_t offset_mask = 0x00fffffffffffe00;

    std::uint64_t word = 0;
    std::uint64_t bitmap = 0;  ///< low half: allocated, high half: zero

    [[nodiscard]] bool is_compressed() const noexcept { return (word & compressed) != 0; }
    [[nodiscard]] bool is_copied() const noexcept { return (word & copied) != 0; }
    /// Of the host cluster; 0: none.
    [[nodiscard]] std::uint64_t host() const noexcept { return is_compressed() ? 0 : word & offset_mask; }
    [[nodiscard]] Content content(const Layout& layout, unsigned subcluster) const noexcept;
    friend bool operator==(const Entry&, const Entry&) = default;
};

/// Where a compressed cluster lies: it begins at any byte and takes at most `bytes`.
struct CompressedPlace {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};
[[nodiscard]] CompressedPlace compressed_place(const Entry& entry, const Layout& layout) noexcept;

/// Something is wrong with the entry, whatever it points to; empty: nothing.
[[nodiscard]] std::string fault_in(const Entry& entry, const Layout& layout, std::uint64_t file_bytes);

/// Counts of 1 << order bits, the first in the lowest bits of a byte.
[[nodiscard]] std::uint64_t load_count(ByteSpan block, std::uint64_t index, unsigned bits) noexcept;
void store_count(MutableByteSpan block, std::uint64_t index, unsigned bits, std::uint64_t count) noexcept;

}  // namespace diskless::storage::qcow2
