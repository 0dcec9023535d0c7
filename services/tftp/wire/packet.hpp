// TFTP packets: bytes <-> values. RFC 1350 5; options RFC 2347, blksize 2348, timeout and tsize 2349, windowsize 7440.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "common/bytes.hpp"
#include "common/result.hpp"

namespace diskless::tftp::wire {

enum class Opcode : std::uint16_t { rrq = 1, wrq = 2, data = 3, ack = 4, error = 5, oack = 6 };

enum class ErrorCode : std::uint16_t {
    not_defined = 0,
    file_not_found = 1,
    access_violation = 2,
    disk_full = 3,
    illegal_operation = 4,
    unknown_transfer_id = 5,
    file_exists = 6,
    no_such_user = 7,
    option_negotiation_failed = 8,
};

enum class Mode : std::uint8_t { octet, netascii, other };

/// Options as they were asked for; values outside their RFC's range count as not asked.
struct Options {
    std::optional<std::uint16_t> blksize;     ///< 8..65464
    std::optional<std::uint8_t> timeout_s;    ///< 1..255
    std::optional<std::uint64_t> tsize;       ///< a reader asks with 0
    std::optional<std::uint16_t> windowsize;  ///< 1..65535

    [[nodiscard]] bool any() const noexcept { return blksize || timeout_s || tsize || windowsize; }
    friend bool operator==(const Options&, const Options&) = default;
};

/// The views of a decoded packet point into the datagram.
struct Rrq {
    std::string_view filename;
    Mode mode = Mode::octet;
    Options options;
};
struct Wrq {
    std::string_view filename;
};
struct Data {
    std::uint16_t block = 0;
    ByteSpan bytes;
};
struct Ack {
    std::uint16_t block = 0;
};
struct Error {
    ErrorCode code = ErrorCode::not_defined;
    std::string_view text;
};
struct Oack {
    Options options;
};
using Packet = std::variant<Rrq, Wrq, Data, Ack, Error, Oack>;

[[nodiscard]] Decoded<Packet> decode(ByteSpan datagram) noexcept;

inline constexpr std::size_t data_header_bytes = 4;
/// The four bytes before a block's data.
void encode_data_header(MutableByteSpan four, std::uint16_t block) noexcept;
/// Both clear `out` first.
void encode_oack(const Options& options, std::vector<std::byte>& out);
void encode_error(ErrorCode code, std::string_view text, std::vector<std::byte>& out);

}  // namespace diskless::tftp::wire
