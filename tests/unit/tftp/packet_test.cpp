// Golden packets. "seen": captured from that client asking a listener of ours; "RFC": from the text of the standard.
#include "services/tftp/wire/packet.hpp"

#include <doctest/doctest.h>

#include "services/tftp/wire/netascii.hpp"

using namespace diskless;
using namespace diskless::tftp;
using namespace std::string_view_literals;

namespace {

std::string encoded(auto&& encode) {
    std::vector<std::byte> out{std::byte{0x55}};  // what was there before is cleared
    encode(out);
    return std::string{as_text(out)};
}

template<class T>
T decoded(std::string_view datagram) {
    const auto packet = wire::decode(as_bytes(datagram));
    REQUIRE(packet.has_value());
    REQUIRE(std::holds_alternative<T>(*packet));
    return std::get<T>(*packet);
}

}  // namespace

TEST_CASE("RRQ as clients send it") {
    struct Row {
        std::string_view origin, datagram, filename;
        wire::Mode mode;
        wire::Options options;
    };
    const Row rows[] = {
        {"tftp-hpa 5.2, seen", "\0\1big.bin\0octet\0"sv, "big.bin", wire::Mode::octet, {}},
        {"tftp-hpa 5.2 -m ascii, seen", "\0\1big.bin\0netascii\0"sv, "big.bin", wire::Mode::netascii, {}},
        {"curl 7.88, seen",
         "\0\1big.bin\0octet\0tsize\0"
         "0\0blksize\0"
         "512\0timeout\0"
         "1\0"sv,
         "big.bin",
         wire::Mode::octet,
         {.blksize = 512, .timeout_s = 1, .tsize = 0}},
        {"OVMF 2022.11: tsize, blksize, windowsize in this order",
         "\0\1snponly.efi\0octet\0tsize\0"
         "0\0blksize\0"
         "1468\0windowsize\0"
         "4\0"sv,
         "snponly.efi",
         wire::Mode::octet,
         {.blksize = 1468, .tsize = 0, .windowsize = 4}},
        {"RFC 2347: names in any case",
         "\0\1a\0OcTeT\0BLKSIZE\0"
         "1432\0"sv,
         "a",
         wire::Mode::octet,
         {.blksize = 1432}},
        {"RFC 1350: mode mail is obsolete", "\0\1a\0mail\0"sv, "a", wire::Mode::other, {}},
        {"a ROM that forgets the last NUL", "\0\1undionly.kpxe\0octet"sv, "undionly.kpxe", wire::Mode::octet, {}},
        {"a ROM that appends 0xFF to the name", "\0\1undionly.kpxe\xff\0octet\0"sv, "undionly.kpxe\xff", wire::Mode::octet, {}},
        {"an option nobody knows is passed over",
         "\0\1a\0octet\0multicast\0\0blksize\0"
         "1024\0"sv,
         "a",
         wire::Mode::octet,
         {.blksize = 1024}},
        {"an option without its value", "\0\1a\0octet\0blksize"sv, "a", wire::Mode::octet, {}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.origin);
        const auto rrq = decoded<wire::Rrq>(row.datagram);
        CHECK(rrq.filename == row.filename);
        CHECK(rrq.mode == row.mode);
        CHECK(rrq.options == row.options);
    }
}

TEST_CASE("option values outside their RFC's range count as not asked") {
    const auto options_of = [](std::string_view name, std::string_view value) {
        std::string datagram{"\0\1a\0octet\0"sv};
        datagram.append(name).append(1, '\0').append(value).append(1, '\0');
        return decoded<wire::Rrq>(datagram).options;
    };
    for (const auto value : {"7"sv, "65465"sv, "0"sv, "-8"sv, "+8"sv, " 512"sv, "512 "sv, "0x200"sv, ""sv, "18446744073709551616"sv})
        CHECK_FALSE(options_of("blksize", value).blksize);
    CHECK(options_of("blksize", "8").blksize == 8);
    CHECK(options_of("blksize", "65464").blksize == 65464);
    CHECK_FALSE(options_of("timeout", "0").timeout_s);
    CHECK_FALSE(options_of("timeout", "256").timeout_s);
    CHECK(options_of("timeout", "255").timeout_s == 255);
    CHECK_FALSE(options_of("windowsize", "0").windowsize);
    CHECK_FALSE(options_of("windowsize", "65536").windowsize);
    CHECK(options_of("windowsize", "65535").windowsize == 65535);
    CHECK(options_of("tsize", "18446744073709551615").tsize == 18446744073709551615u);
}

TEST_CASE("the other packets, decoded") {
    CHECK(decoded<wire::Wrq>("\0\2a\0octet\0"sv).filename == "a");
    CHECK(decoded<wire::Ack>("\0\4\x12\x34"sv).block == 0x1234);
    CHECK(decoded<wire::Ack>("\0\4\xff\xff trailing"sv).block == 0xffff);
    const auto error = decoded<wire::Error>(
        "\0\5\0\x08"
        "User aborted the transfer\0"sv);  // OVMF, when it has read the size
    CHECK(error.code == wire::ErrorCode::option_negotiation_failed);
    CHECK(error.text == "User aborted the transfer");
    CHECK(decoded<wire::Error>("\0\5\0\0"sv).text.empty());
    const auto data = decoded<wire::Data>("\0\3\0\1abc"sv);
    CHECK(data.block == 1);
    CHECK(as_text(data.bytes) == "abc");
    CHECK(decoded<wire::Data>("\0\3\0\1"sv).bytes.empty());
    CHECK(decoded<wire::Oack>("\0\6blksize\0"
                              "1468\0"sv)
              .options == wire::Options{.blksize = 1468});
}

TEST_CASE("what is no packet is refused with a reason") {
    const auto reason_of = [](std::string_view datagram) {
        const auto packet = wire::decode(as_bytes(datagram));
        return packet ? "accepted"sv : packet.error().reason;
    };
    CHECK(reason_of("") == "truncated");
    CHECK(reason_of("\0"sv) == "truncated");
    CHECK(reason_of("\0\1"sv) == "malformed_request");
    CHECK(reason_of("\0\1\0octet\0"sv) == "malformed_request");
    CHECK(reason_of("\0\1name"sv) == "malformed_request");
    CHECK(reason_of("\0\1name\0"sv) == "malformed_request");
    CHECK(reason_of("\0\2name\0"sv) == "malformed_request");
    CHECK(reason_of("\0\3\0"sv) == "truncated");
    CHECK(reason_of("\0\4\0"sv) == "truncated");
    CHECK(reason_of("\0\5\0"sv) == "truncated");
    CHECK(reason_of("\0\7\0\0"sv) == "unknown_opcode");
    CHECK(reason_of("\0\0\0\0"sv) == "unknown_opcode");
    CHECK(reason_of("\1\1a\0octet\0"sv) == "unknown_opcode");
}

TEST_CASE("what we send, encoded") {
    std::byte header[4];
    wire::encode_data_header(header, 0xfffe);
    CHECK(as_text(header) == "\0\3\xff\xfe"sv);

    // RFC 2347: an OACK has only what was asked for and agreed on.
    CHECK(encoded([](auto& out) { wire::encode_oack({.blksize = 1468, .tsize = 173792, .windowsize = 4}, out); }) ==
          "\0\6blksize\0"
          "1468\0tsize\0"
          "173792\0windowsize\0"
          "4\0"sv);
    CHECK(encoded([](auto& out) { wire::encode_oack({.timeout_s = 3}, out); }) ==
          "\0\6timeout\0"
          "3\0"sv);
    CHECK(encoded([](auto& out) { wire::encode_error(wire::ErrorCode::file_not_found, "File not found", out); }) ==
          "\0\5\0\1File not found\0"sv);
    CHECK(encoded([](auto& out) { wire::encode_error(wire::ErrorCode::unknown_transfer_id, "", out); }) == "\0\5\0\5\0"sv);
}

TEST_CASE("netascii: CR LF ends a line, CR NUL is a CR") {
    CHECK(wire::to_netascii("") == "");
    CHECK(wire::to_netascii("one\ntwo\n") == "one\r\ntwo\r\n");
    CHECK(wire::to_netascii("a\rb") == "a\r\0b"sv);
    CHECK(wire::to_netascii("dos\r\n") == "dos\r\0\r\n"sv);
}
