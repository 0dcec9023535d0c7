// The file of a boot set: golden bytes made by Python's struct and zlib, and everything that can be wrong with one.
#include "storage/boot_set.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <string>

using namespace diskless;
using namespace diskless::storage;

namespace {

std::vector<std::byte> from_hex(std::string_view text) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(std::stoi(std::string{text.substr(i, 2)}, nullptr, 16)));
    return bytes;
}

// One file of a mebibyte and a byte (17 pieces), and one of 192 GiB of which nothing was read.
const BootSet golden_set{.files = {{.size_bytes = 0x100001, .runs = {{0, 2}, {16, 1}}}, {.size_bytes = 0x3000000000, .runs = {}}}};
constexpr std::string_view golden_bytes =
    "444c424f4f545354000000012f9a785400010000000000020000000000100001"
    "0000000200000000000000020000001000000001000000300000000000000000";

void correct_checksum(std::vector<std::byte>& bytes) {
    const auto sum = ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data() + 16), bytes.size() - 16);
    store_be(bytes, 12, static_cast<std::uint32_t>(sum));
}

/// The golden bytes with a number changed and the checksum made right again.
std::string refusal(std::size_t at, std::uint32_t value) {
    auto bytes = from_hex(golden_bytes);
    store_be(bytes, at, value);
    correct_checksum(bytes);
    const auto set = decode_boot_set(bytes);
    return set ? "" : set.error();
}

}  // namespace

TEST_CASE("a boot set and its bytes") {
    CHECK(encode(golden_set) == from_hex(golden_bytes));
    const auto decoded = decode_boot_set(from_hex(golden_bytes));
    REQUIRE(decoded);
    CHECK(*decoded == golden_set);
    CHECK(decoded->run_count() == 2);
    CHECK(decoded->bytes() == 3 * piece_bytes);
}

TEST_CASE("a damaged boot set is refused, whatever is wrong with it") {
    const auto whole = from_hex(golden_bytes);
    for (std::size_t length = 0; length < whole.size(); ++length) CHECK_FALSE(decode_boot_set(ByteSpan{whole}.first(length)));
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        auto bytes = whole;
        bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        CHECK_FALSE(decode_boot_set(bytes));
    }
    auto longer = whole;
    longer.push_back({});
    CHECK_FALSE(decode_boot_set(longer));
    correct_checksum(longer);
    CHECK_FALSE(decode_boot_set(longer));
}

TEST_CASE("a boot set that lies is refused") {
    CHECK(refusal(16, 65536).empty());       // as it is
    CHECK_FALSE(refusal(16, 4096).empty());  // pieces of another size
    CHECK_FALSE(refusal(20, 65).empty());    // files
    CHECK_FALSE(refusal(20, 3).empty());
    CHECK_FALSE(refusal(32, 0xffffffff).empty());  // runs
    CHECK_FALSE(refusal(40, 0).empty());           // an empty run
    CHECK_FALSE(refusal(40, 16).empty());          // it meets the next
    CHECK_FALSE(refusal(44, 1).empty());           // it begins in the one before
    CHECK_FALSE(refusal(44, 17).empty());          // beyond the end
    CHECK_FALSE(refusal(48, 2).empty());
    CHECK_FALSE(refusal(48, 0xffffffff).empty());
}

TEST_CASE("united") {
    const BootSet one{.files = {{.size_bytes = 1 << 30, .runs = {{0, 2}, {10, 5}, {100, 1}}}}};
    const BootSet other{.files = {{.size_bytes = 1 << 30, .runs = {{2, 1}, {12, 1}, {50, 2}, {99, 3}}}}};
    const BootSet both{.files = {{.size_bytes = 1 << 30, .runs = {{0, 3}, {10, 5}, {50, 2}, {99, 3}}}}};
    CHECK(united(one, other) == both);
    CHECK(united(other, one) == both);
    CHECK(united(one, one) == one);
    CHECK_FALSE(one.fits(golden_set));
}

TEST_CASE("bounded: the smallest gaps are filled, and nothing is lost") {
    BootSet set{.files = {{.size_bytes = std::uint64_t{1} << 40, .runs = {}}}};
    // Pairs with a small gap inside and a large one between them.
    for (std::uint32_t i = 0; i < BootSet::max_runs; ++i) {
        set.files[0].runs.push_back({i * 100, 1});
        set.files[0].runs.push_back({i * 100 + 3, 1});
    }
    const BootSet less = bounded(set);
    REQUIRE(less.run_count() == BootSet::max_runs);
    CHECK(less.files[0].runs.front() == PieceRun{0, 4});
    CHECK(less.files[0].runs.back() == PieceRun{(BootSet::max_runs - 1) * 100, 4});
    CHECK(encode(less).size() <= BootSet::max_encoded_bytes);
    const auto again = decode_boot_set(encode(less));
    REQUIRE(again);
    CHECK(*again == less);
    CHECK_FALSE(decode_boot_set(encode(set)));  // too many
}
