// How a PDU lies in the stream (RFC 7143 11.1-11.2): BHS, additional header segments, header digest, data segment, padding, data digest.
// Says how long each part is before it has arrived, and refuses lengths beyond the limits. No buffers in here.
#pragma once

#include <cstdint>
#include <optional>

#include "common/result.hpp"
#include "services/iscsi/wire/bhs.hpp"
#include "services/iscsi/wire/digest.hpp"

namespace diskless::iscsi::wire {

/// What digests are on; both off during login.
struct Digests {
    bool header = false;
    bool data = false;
    friend bool operator==(const Digests&, const Digests&) = default;
};

/// One extended CDB (260 bytes less 16, with its AHS head, padded) and one bidirectional length: more has no meaning.
inline constexpr std::size_t max_ahs_bytes = 264;
/// BHS, AHS and header digest together.
inline constexpr std::size_t max_header_bytes = bhs_bytes + max_ahs_bytes + digest_bytes;

struct PduLayout {
    std::size_t ahs_bytes = 0;
    std::size_t header_digest_bytes = 0;
    std::size_t data_bytes = 0;
    std::size_t padding_bytes = 0;
    std::size_t data_digest_bytes = 0;  ///< zero without a data segment

    [[nodiscard]] std::size_t header_bytes() const noexcept { return bhs_bytes + ahs_bytes + header_digest_bytes; }
    /// What follows the data segment.
    [[nodiscard]] std::size_t trailer_bytes() const noexcept { return padding_bytes + data_digest_bytes; }
    [[nodiscard]] std::size_t total_bytes() const noexcept { return header_bytes() + data_bytes + trailer_bytes(); }
    friend bool operator==(const PduLayout&, const PduLayout&) = default;
};

/// `bhs`: the first 48 bytes.
[[nodiscard]] Decoded<PduLayout> layout_of(ByteSpan bhs, Digests digests, std::size_t max_data_bytes) noexcept;

/// `header`: BHS and AHS with the digest behind them; true where no digest is on.
[[nodiscard]] bool header_digest_holds(ByteSpan header, const PduLayout& layout) noexcept;

struct AdditionalHeaders {
    ByteSpan extended_cdb;  ///< the CDB's bytes from 16 on; a view into the input
    std::optional<std::uint32_t> bidirectional_read_length;
};
[[nodiscard]] Decoded<AdditionalHeaders> additional_headers(ByteSpan ahs) noexcept;

}  // namespace diskless::iscsi::wire
