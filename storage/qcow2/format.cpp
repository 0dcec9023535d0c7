#include "storage/qcow2/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

namespace diskless::storage::qcow2 {
namespace {

constexpr std::size_t v2_header_bytes = 72, v3_header_bytes = 104, header_bytes_written = 112;
constexpr unsigned min_cluster_bits = 9, max_cluster_bits = 21, min_extended_cluster_bits = 14;
constexpr std::uint32_t backing_format_extension = 0xe2792aca;
constexpr std::uint32_t feature_names_extension = 0x6803f857;
constexpr std::uint32_t encryption_extension = 0x0537be77;
constexpr std::uint64_t known_incompatible = incompatible::dirty | incompatible::compression_type | incompatible::extended_l2;
constexpr std::size_t feature_name_bytes = 48;

std::unexpected<std::string> no(std::string why) { return std::unexpected{std::move(why)}; }

/// The name that the image itself gives an incompatible feature.
std::string feature_name(const Header& header, unsigned bit) {
    for (const Extension& extension : header.extensions) {
        if (extension.type != feature_names_extension) continue;
        for (ByteSpan rest = extension.data; rest.size() >= feature_name_bytes; rest = rest.subspan(feature_name_bytes)) {
            if (load_be<std::uint8_t>(rest, 0) != 0 || load_be<std::uint8_t>(rest, 1) != bit) continue;
            const std::string_view name = as_text(rest.subspan(2, feature_name_bytes - 2));
            return std::string{name.substr(0, name.find('\0'))};
        }
    }
    return fmt::format("incompatible feature {}", bit);
}

std::expected<void, std::string> parse_extensions(Header& header, ByteSpan area) {
    while (area.size() >= 8) {
        const auto type = load_be<std::uint32_t>(area, 0);
        const std::size_t length = load_be<std::uint32_t>(area, 4);
        if (type == 0) return {};
        if (length > area.size() - 8) return no("a header extension is longer than the header");
        const ByteSpan data = area.subspan(8, length);
        if (type == backing_format_extension) {
            header.backing_format = as_text(data);
        } else {
            header.extensions.push_back({type, {data.begin(), data.end()}});
        }
        area = area.subspan(std::min(area.size(), 8 + (length + 7) / 8 * 8));
    }
    return {};
}

std::expected<void, std::string> check_features(const Header& header, std::uint32_t encryption) {
    const bool encrypted =
        encryption != 0 || std::ranges::find(header.extensions, encryption_extension, &Extension::type) != header.extensions.end();
    if (encrypted) return no("it is encrypted, which cannot be served; decrypt it: qemu-img convert");
    if ((header.incompatible & incompatible::external_data) != 0)
        return no("its data is in another file (data_file), which cannot be served; join them: qemu-img convert");
    if ((header.incompatible & incompatible::corrupt) != 0) return no("it is marked corrupt; repair it: qemu-img check -r all");
    if (const std::uint64_t unknown = header.incompatible & ~(known_incompatible | incompatible::corrupt); unknown != 0)
        return no(fmt::format("it needs \"{}\", which is not known here",
                              feature_name(header, static_cast<unsigned>(std::countr_zero(unknown)))));
    return {};
}

/// Table lies on a cluster boundary, past the header and inside what an offset can say.
bool is_sound_place(std::uint64_t offset, const Header& header) noexcept {
    return offset != 0 && offset % header.cluster_bytes() == 0 && offset <= Entry::offset_mask;
}

std::expected<void, std::string> check_geometry(const Header& header) {
    const unsigned least = header.has_extended_l2() ? min_extended_cluster_bits : min_cluster_bits;
    if (header.cluster_bits < least || header.cluster_bits > max_cluster_bits)
        return no(fmt::format("its cluster size is 2^{} bytes; 2^{} to 2^{} are possible", header.cluster_bits, least, max_cluster_bits));
    if (header.refcount_order > 6) return no("its reference counts are wider than 64 bits");
    const Layout layout{header};
    const std::uint64_t needed = header.size_bytes / layout.l2_reach() + (header.size_bytes % layout.l2_reach() != 0 ? 1 : 0);
    if (needed > max_l1_bytes / 8 || header.l1_entries > max_l1_bytes / 8) return no("its first-level table would be larger than 32 MiB");
    if (header.l1_entries < needed) return no("its first-level table is too short for its size");
    if (header.size_bytes % 512 != 0) return no("its size is not a multiple of 512 bytes");
    if (header.l1_entries != 0 && !is_sound_place(header.l1_offset, header)) return no("its first-level table is misplaced");
    if (!is_sound_place(header.refcount_table_offset, header) || header.refcount_table_clusters == 0)
        return no("its refcount table is misplaced");
    if (header.refcount_table_clusters > max_refcount_table_bytes >> header.cluster_bits)
        return no("its refcount table is larger than 8 MiB");
    return {};
}

}  // namespace

std::expected<Header, std::string> parse_header(ByteSpan first, std::uint64_t file_bytes) {
    if (first.size() < v2_header_bytes || load_be<std::uint32_t>(first, 0) != magic) return no("it is not a qcow2 image");
    Header header;
    header.version = load_be<std::uint32_t>(first, 4);
    if (header.version != 2 && header.version != 3) return no(fmt::format("its version is {}; 2 and 3 are known", header.version));
    header.cluster_bits = load_be<std::uint32_t>(first, 20);
    header.size_bytes = load_be<std::uint64_t>(first, 24);
    header.l1_entries = load_be<std::uint32_t>(first, 36);
    header.l1_offset = load_be<std::uint64_t>(first, 40);
    header.refcount_table_offset = load_be<std::uint64_t>(first, 48);
    header.refcount_table_clusters = load_be<std::uint32_t>(first, 56);
    header.snapshot_count = load_be<std::uint32_t>(first, 60);
    header.snapshots_offset = load_be<std::uint64_t>(first, 64);
    std::size_t header_bytes = v2_header_bytes;
    if (header.version == 3) {
        if (first.size() < v3_header_bytes) return no("it ends within its header");
        header.incompatible = load_be<std::uint64_t>(first, 72);
        header.compatible = load_be<std::uint64_t>(first, 80);
        header.autoclear = load_be<std::uint64_t>(first, 88);
        header.refcount_order = load_be<std::uint32_t>(first, 96);
        header_bytes = load_be<std::uint32_t>(first, 100);
        if (header_bytes < v3_header_bytes || header_bytes % 8 != 0 || header_bytes > first.size())
            return no("its header's length is wrong");
        if (header_bytes > v3_header_bytes) header.compression = static_cast<Compression>(load_be<std::uint8_t>(first, 104));
    }
    if (header.cluster_bits < min_cluster_bits || header.cluster_bits > max_cluster_bits)
        return no(fmt::format("its cluster size is 2^{} bytes; 2^{} to 2^{} are possible", header.cluster_bits, min_cluster_bits,
                              max_cluster_bits));
    const ByteSpan cluster = first.first(std::min<std::size_t>(first.size(), header.cluster_bytes()));
    if (header_bytes > cluster.size()) return no("its header's length is wrong");
    const auto name_offset = load_be<std::uint64_t>(first, 8);
    const std::size_t name_length = load_be<std::uint32_t>(first, 16);
    const bool has_name = name_offset != 0 && name_length != 0;
    if (has_name) {
        if (name_length > max_backing_name || name_offset < header_bytes || name_offset > cluster.size() ||
            name_length > cluster.size() - name_offset)
            return no("the name of its backing file lies outside its header");
        header.backing_name = as_text(cluster.subspan(name_offset, name_length));
        if (header.backing_name.find('\0') != std::string::npos) return no("the name of its backing file has a NUL in it");
    }
    const std::size_t extensions_end = has_name ? name_offset : cluster.size();
    if (auto parsed = parse_extensions(header, cluster.subspan(header_bytes, extensions_end - header_bytes)); !parsed)
        return no(parsed.error());
    if (auto checked = check_features(header, load_be<std::uint32_t>(first, 32)); !checked) return no(checked.error());
    if (header.compression > Compression::zstd) return no("its compression is neither deflate nor zstd");
    if (auto checked = check_geometry(header); !checked) return no(checked.error());
    const std::uint64_t tables_end = std::max(header.l1_offset, header.refcount_table_offset);
    if (tables_end >= file_bytes) return no("it is cut short: its tables lie beyond its end");
    return header;
}

bool fits(const Header& header) {
    std::size_t bytes = header_bytes_written + 8 + header.backing_name.size();
    if (!header.backing_format.empty()) bytes += 8 + (header.backing_format.size() + 7) / 8 * 8;
    for (const Extension& extension : header.extensions) bytes += 8 + (extension.data.size() + 7) / 8 * 8;
    return bytes <= header.cluster_bytes() && header.backing_name.size() <= max_backing_name;
}

std::vector<std::byte> encode_header(const Header& header) {
    std::vector<std::byte> cluster(header.cluster_bytes());
    const MutableByteSpan out{cluster};
    store_be(out, 0, magic);
    store_be(out, 4, header.version);
    store_be(out, 20, static_cast<std::uint32_t>(header.cluster_bits));
    store_be(out, 24, header.size_bytes);
    store_be(out, 36, header.l1_entries);
    store_be(out, 40, header.l1_offset);
    store_be(out, 48, header.refcount_table_offset);
    store_be(out, 56, header.refcount_table_clusters);
    store_be(out, 60, header.snapshot_count);
    store_be(out, 64, header.snapshots_offset);
    std::size_t at = v2_header_bytes;
    if (header.version >= 3) {
        store_be(out, 72, header.incompatible);
        store_be(out, 80, header.compatible);
        store_be(out, 88, header.autoclear);
        store_be(out, 96, static_cast<std::uint32_t>(header.refcount_order));
        store_be(out, 100, static_cast<std::uint32_t>(header_bytes_written));
        store_be(out, 104, static_cast<std::uint8_t>(header.compression));
        at = header_bytes_written;
    }
    const auto put = [&](std::uint32_t type, ByteSpan data) {
        store_be(out, at, type);
        store_be(out, at + 4, static_cast<std::uint32_t>(data.size()));
        std::ranges::copy(data, out.begin() + static_cast<std::ptrdiff_t>(at) + 8);
        at += 8 + (data.size() + 7) / 8 * 8;
    };
    if (!header.backing_format.empty()) put(backing_format_extension, as_bytes(header.backing_format));
    for (const Extension& extension : header.extensions) put(extension.type, extension.data);
    at += 8;  // the end of the extensions: type 0, length 0
    if (!header.backing_name.empty()) {
        store_be(out, 8, static_cast<std::uint64_t>(at));
        store_be(out, 16, static_cast<std::uint32_t>(header.backing_name.size()));
        std::ranges::copy(as_bytes(header.backing_name), out.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return cluster;
}

Layout::Layout(const Header& header) noexcept
    : cluster_bits{header.cluster_bits},
      cluster_bytes{header.cluster_bytes()},
      entry_words{header.has_extended_l2() ? 2u : 1u},
      l2_bits{header.cluster_bits - 3 - (header.has_extended_l2() ? 1u : 0u)},
      subclusters{header.has_extended_l2() ? 32u : 1u},
      subcluster_bits{header.cluster_bits - (header.has_extended_l2() ? 5u : 0u)},
      refcount_bits{1u << header.refcount_order},
      counts_per_block{header.cluster_bytes() * 8 >> header.refcount_order} {}

Content Entry::content(const Layout& layout, unsigned subcluster) const noexcept {
    if (is_compressed()) return Content::compressed;
    if (layout.subclusters == 1) {
        if ((word & zero) != 0) return Content::zero;
        return host() != 0 ? Content::data : Content::unallocated;
    }
    if ((bitmap >> (32 + subcluster) & 1) != 0) return Content::zero;
    return (bitmap >> subcluster & 1) != 0 ? Content::data : Content::unallocated;
}

CompressedPlace compressed_place(const Entry& entry, const Layout& layout) noexcept {
    const unsigned offset_bits = 62 - (layout.cluster_bits - 8);
    const std::uint64_t offset = entry.word & ((std::uint64_t{1} << offset_bits) - 1);
    const std::uint64_t more_sectors = (entry.word & (Entry::compressed - 1)) >> offset_bits;
    return {.offset = offset, .bytes = (more_sectors + 1) * 512 - offset % 512};
}

std::string fault_in(const Entry& entry, const Layout& layout, std::uint64_t file_bytes) {
    if (entry.is_compressed()) {
        const CompressedPlace place = compressed_place(entry, layout);
        return place.offset == 0 || place.offset >= file_bytes ? "a compressed cluster lies outside the file" : "";
    }
    const std::uint64_t host = entry.host();
    if (host % layout.cluster_bytes != 0) return "a cluster lies across a cluster boundary";
    if (host >= file_bytes && host != 0) return "a cluster lies beyond the end of the file";
    if (layout.subclusters == 1) return "";
    if ((entry.bitmap & entry.bitmap >> 32 & 0xffffffff) != 0) return "a subcluster is both data and zero";
    if (host == 0 && (entry.bitmap & 0xffffffff) != 0) return "a subcluster has data, and its cluster has no place";
    return "";
}

std::uint64_t load_count(ByteSpan block, std::uint64_t index, unsigned bits) noexcept {
    switch (bits) {
        case 64: return load_be<std::uint64_t>(block, index * 8);
        case 32: return load_be<std::uint32_t>(block, index * 4);
        case 16: return load_be<std::uint16_t>(block, index * 2);
        case 8: return load_be<std::uint8_t>(block, index);
        default: break;
    }
    const unsigned per_byte = 8 / bits;
    const auto byte = load_be<std::uint8_t>(block, index / per_byte);
    return byte >> (index % per_byte * bits) & ((1u << bits) - 1);
}

void store_count(MutableByteSpan block, std::uint64_t index, unsigned bits, std::uint64_t count) noexcept {
    switch (bits) {
        case 64: return store_be(block, index * 8, count);
        case 32: return store_be(block, index * 4, static_cast<std::uint32_t>(count));
        case 16: return store_be(block, index * 2, static_cast<std::uint16_t>(count));
        case 8: return store_be(block, index, static_cast<std::uint8_t>(count));
        default: break;
    }
    const unsigned per_byte = 8 / bits;
    const auto shift = static_cast<unsigned>(index % per_byte * bits);
    const unsigned mask = ((1u << bits) - 1) << shift;
    const auto byte = load_be<std::uint8_t>(block, index / per_byte);
    store_be(block, index / per_byte, static_cast<std::uint8_t>((byte & ~mask) | (static_cast<unsigned>(count) << shift & mask)));
}

}  // namespace diskless::storage::qcow2
