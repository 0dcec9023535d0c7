#include "services/iscsi/wire/pdu.hpp"

namespace diskless::iscsi::wire {
namespace {

constexpr std::size_t ahs_head_bytes = 3;  // AHSLength, AHSType; the length counts what follows these three
constexpr std::size_t bidirectional_ahs_length = 5;
constexpr std::size_t max_extended_cdb_bytes = 260 - 16;

}  // namespace

Decoded<PduLayout> layout_of(ByteSpan bhs, Digests digests, std::size_t max_data_bytes) noexcept {
    PduLayout layout;
    layout.ahs_bytes = ahs_bytes_of(bhs);
    if (layout.ahs_bytes > max_ahs_bytes) return refuse("ahs_too_long");
    layout.header_digest_bytes = digests.header ? digest_bytes : 0;
    layout.data_bytes = data_segment_length_of(bhs);
    if (layout.data_bytes > max_data_bytes) return refuse("data_segment_too_long");
    layout.padding_bytes = padding_of(layout.data_bytes);
    layout.data_digest_bytes = digests.data && layout.data_bytes != 0 ? digest_bytes : 0;
    return layout;
}

bool header_digest_holds(ByteSpan header, const PduLayout& layout) noexcept {
    if (layout.header_digest_bytes == 0) return true;
    const std::size_t covered = bhs_bytes + layout.ahs_bytes;
    Crc32c crc;
    crc.add(header.first(covered));
    return crc.matches(header.subspan(covered));
}

Decoded<AdditionalHeaders> additional_headers(ByteSpan ahs) noexcept {
    AdditionalHeaders found;
    ByteReader reader{ahs};
    while (reader.remaining() != 0) {
        const auto length = reader.be<std::uint16_t>();
        const auto type = static_cast<AhsType>(reader.u8() & 0x3f);
        const ByteSpan body = reader.bytes(length);
        if (!reader.ok() || length == 0) return refuse("ahs_malformed");
        // Each AHS is padded to four bytes.
        if (const std::size_t pad = padding_of(ahs_head_bytes + length); pad <= reader.remaining()) reader.skip(pad);
        if (type == AhsType::extended_cdb) {
            if (!found.extended_cdb.empty() || length - 1u > max_extended_cdb_bytes) return refuse("ahs_extended_cdb");
            found.extended_cdb = body.subspan(1);
        } else if (type == AhsType::bidirectional_read_length) {
            if (length != bidirectional_ahs_length) return refuse("ahs_malformed");
            found.bidirectional_read_length = load_be<std::uint32_t>(body, 1);
        } else {
            return refuse("ahs_unknown");
        }
    }
    return found;
}

}  // namespace diskless::iscsi::wire
