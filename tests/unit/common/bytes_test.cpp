#include "common/bytes.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace diskless;

TEST_CASE("big-endian loads and stores agree with the wire") {
    std::array<std::byte, 8> bytes{};
    store_be<std::uint32_t>(bytes, 1, 0x01020304);
    CHECK(bytes[1] == std::byte{1});
    CHECK(bytes[4] == std::byte{4});
    CHECK(load_be<std::uint32_t>(bytes, 1) == 0x01020304);
    store_be24(bytes, 5, 0xabcdef);
    CHECK(load_be24(bytes, 5) == 0xabcdef);
    CHECK(bytes[5] == std::byte{0xab});
    store_be<std::uint64_t>(bytes, 0, 0x1122334455667788);
    CHECK(load_be<std::uint16_t>(bytes, 6) == 0x7788);
}

TEST_CASE("a reader past the end yields zeros and stays failed") {
    const std::array bytes{std::byte{1}, std::byte{2}, std::byte{3}};
    ByteReader reader{bytes};
    CHECK(reader.be<std::uint16_t>() == 0x0102);
    CHECK(reader.be<std::uint32_t>() == 0);
    CHECK_FALSE(reader.ok());
    CHECK(reader.remaining() == 0);
    CHECK(reader.u8() == 0);
    CHECK_FALSE(reader.ok());
}

TEST_CASE("a writer that is full writes nothing more") {
    std::array<std::byte, 5> bytes{};
    ByteWriter writer{bytes};
    writer.be<std::uint32_t>(0xdeadbeef);
    CHECK(writer.ok());
    writer.be<std::uint16_t>(7);
    CHECK_FALSE(writer.ok());
    CHECK(writer.size() == 4);
    writer.u8(9);
    CHECK(writer.size() == 4);
    CHECK(bytes[4] == std::byte{0});
}
