#include "storage/qcow2/create.hpp"

#include <algorithm>
#include <cerrno>

#include "storage/blocking.hpp"

namespace diskless::storage::qcow2 {

boost::system::error_code create(BlockDevice& file, const CreateOptions& options) {
    Header header{.cluster_bits = options.cluster_bits,
                  .size_bytes = options.size_bytes,
                  .compression = options.compression,
                  .backing_name = options.backing_name,
                  .backing_format = options.backing_format};
    if (options.extended_l2) header.incompatible |= incompatible::extended_l2;
    if (options.compression != Compression::deflate) header.incompatible |= incompatible::compression_type;
    const Layout layout{header};
    const std::uint64_t l1_entries = (options.size_bytes + layout.l2_reach() - 1) / layout.l2_reach();
    if (l1_entries > max_l1_bytes / 8 || !fits(header)) return {EFBIG, boost::system::system_category()};
    header.l1_entries = static_cast<std::uint32_t>(l1_entries);
    // Header, refcount table, refcount blocks, first-level table: in this order, and all of them counted.
    const std::uint64_t l1_clusters = std::max<std::uint64_t>(1, layout.round_up(l1_entries * 8) >> layout.cluster_bits);
    std::uint64_t blocks = 1, table_clusters = 1;
    const auto total = [&] { return 1 + table_clusters + blocks + l1_clusters; };
    while (blocks * layout.counts_per_block < total() || table_clusters * layout.cluster_bytes / 8 < blocks) {
        blocks = (total() + layout.counts_per_block - 1) / layout.counts_per_block;
        table_clusters = (blocks * 8 + layout.cluster_bytes - 1) >> layout.cluster_bits;
    }
    header.refcount_table_offset = layout.cluster_bytes;
    header.refcount_table_clusters = static_cast<std::uint32_t>(table_clusters);
    const std::uint64_t first_block = (1 + table_clusters) << layout.cluster_bits;
    header.l1_offset = first_block + (blocks << layout.cluster_bits);

    // The header comes last: until then it is no image.
    std::vector<std::byte> bytes(l1_clusters << layout.cluster_bits);
    if (const auto error = write_now(file, header.l1_offset, bytes)) return error;
    bytes.assign(blocks << layout.cluster_bits, std::byte{0});
    for (std::uint64_t cluster = 0; cluster < total(); ++cluster) store_count(bytes, cluster, layout.refcount_bits, 1);
    if (const auto error = write_now(file, first_block, bytes)) return error;
    bytes.assign(table_clusters << layout.cluster_bits, std::byte{0});
    for (std::uint64_t i = 0; i < blocks; ++i) store_be(MutableByteSpan{bytes}, i * 8, first_block + (i << layout.cluster_bits));
    if (const auto error = write_now(file, header.refcount_table_offset, bytes)) return error;
    if (const auto error = flush_now(file)) return error;
    if (const auto error = write_now(file, 0, encode_header(header))) return error;
    return flush_now(file);
}

}  // namespace diskless::storage::qcow2
