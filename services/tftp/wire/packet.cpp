#include "services/tftp/wire/packet.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace diskless::tftp::wire {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// RFC 2347: names of options and modes in any case.
bool is(std::string_view text, std::string_view name) noexcept { return std::ranges::equal(text, name, {}, lower); }

/// The next NUL-terminated string. Deviation: the last one may lack its NUL, some ROMs forget it.
std::string_view next_string(ByteReader& reader) noexcept {
    const std::string_view rest = as_text(reader.rest());
    const auto length = rest.find('\0');
    const std::string_view text = rest.substr(0, length);
    reader.skip(length == std::string_view::npos ? text.size() : text.size() + 1);
    return text;
}

template<class T>
void read_number(std::string_view text, std::uint64_t least, std::uint64_t most, std::optional<T>& into) noexcept {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && value >= least && value <= most) into = static_cast<T>(value);
}

Options read_options(ByteReader& reader) noexcept {
    Options options;
    while (reader.remaining() > 0) {
        const std::string_view name = next_string(reader);
        const std::string_view value = next_string(reader);
        if (is(name, "blksize")) read_number(value, 8, 65464, options.blksize);
        if (is(name, "timeout")) read_number(value, 1, 255, options.timeout_s);
        if (is(name, "tsize")) read_number(value, 0, ~std::uint64_t{0}, options.tsize);
        if (is(name, "windowsize")) read_number(value, 1, 65535, options.windowsize);
    }
    return options;
}

Decoded<Packet> read_request(Opcode opcode, ByteReader& reader) noexcept {
    const std::string_view filename = next_string(reader);
    if (filename.empty() || reader.remaining() == 0) return refuse("malformed_request");
    const std::string_view mode = next_string(reader);
    if (opcode == Opcode::wrq) return Wrq{filename};
    return Rrq{.filename = filename,
               .mode = is(mode, "octet")      ? Mode::octet
                       : is(mode, "netascii") ? Mode::netascii
                                              : Mode::other,
               .options = read_options(reader)};
}

void append(std::vector<std::byte>& out, std::string_view text) {
    const ByteSpan bytes = as_bytes(text);
    out.insert(out.end(), bytes.begin(), bytes.end());
    out.push_back(std::byte{0});
}

void begin(std::vector<std::byte>& out, Opcode opcode) { out.assign({std::byte{0}, static_cast<std::byte>(opcode)}); }

}  // namespace

Decoded<Packet> decode(ByteSpan datagram) noexcept {
    ByteReader reader{datagram};
    const auto opcode = static_cast<Opcode>(reader.be<std::uint16_t>());
    switch (opcode) {
        case Opcode::rrq:
        case Opcode::wrq: return read_request(opcode, reader);
        case Opcode::data: {
            const auto block = reader.be<std::uint16_t>();
            if (!reader.ok()) return refuse("truncated");
            return Data{block, reader.rest()};
        }
        case Opcode::ack: {
            const Ack ack{reader.be<std::uint16_t>()};
            if (!reader.ok()) return refuse("truncated");
            return ack;
        }
        case Opcode::error: {
            const auto code = static_cast<ErrorCode>(reader.be<std::uint16_t>());
            if (!reader.ok()) return refuse("truncated");
            return Error{code, next_string(reader)};
        }
        case Opcode::oack: return Oack{read_options(reader)};
        default: return refuse(reader.ok() ? "unknown_opcode" : "truncated");
    }
}

void encode_data_header(MutableByteSpan four, std::uint16_t block) noexcept {
    store_be(four, 0, static_cast<std::uint16_t>(Opcode::data));
    store_be(four, 2, block);
}

void encode_oack(const Options& options, std::vector<std::byte>& out) {
    begin(out, Opcode::oack);
    const auto put = [&out](std::string_view name, const auto& value) {
        if (!value) return;
        append(out, name);
        append(out, std::to_string(*value));
    };
    put("blksize", options.blksize);
    put("timeout", options.timeout_s);
    put("tsize", options.tsize);
    put("windowsize", options.windowsize);
}

void encode_error(ErrorCode code, std::string_view text, std::vector<std::byte>& out) {
    begin(out, Opcode::error);
    out.push_back(std::byte{0});
    out.push_back(static_cast<std::byte>(code));
    append(out, text);
}

}  // namespace diskless::tftp::wire
