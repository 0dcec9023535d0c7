#include "services/iscsi/wire/bhs.hpp"

namespace diskless::iscsi::wire {
namespace {
constexpr std::uint64_t second_levels = 0x0000ffffffffffff;
constexpr unsigned peripheral_device = 0, flat_space = 1;
}  // namespace

std::optional<std::uint16_t> flat_lun(std::uint64_t field) noexcept {
    if ((field & second_levels) != 0) return std::nullopt;
    const auto first = static_cast<std::uint16_t>(field >> 48);
    const unsigned method = first >> 14;
    if (method == flat_space) return static_cast<std::uint16_t>(first & 0x3fff);
    if (method == peripheral_device && (first >> 8) == 0) return first;  // bus identifier 0: this very device
    return std::nullopt;
}

std::uint64_t lun_field(std::uint16_t lun) noexcept {
    const std::uint64_t first = lun <= 0xff ? lun : std::uint64_t{flat_space} << 14 | (lun & 0x3fffu);
    return first << 48;
}

}  // namespace diskless::iscsi::wire
