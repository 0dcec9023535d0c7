#include "services/dhcp/wire/options.hpp"

#include <algorithm>

namespace diskless::dhcp::wire {
namespace {

constexpr std::size_t max_option_bytes = 255;

template<class T>
std::optional<T> number(ByteSpan value) noexcept {
    if (value.size() < sizeof(T)) return std::nullopt;
    return load_be<T>(value, 0);
}

}  // namespace

std::optional<Ipv4Address> Options::address(Option code) const noexcept {
    const auto value = u32(code);
    if (!value) return std::nullopt;
    return Ipv4Address{*value};
}
std::optional<std::uint8_t> Options::u8(Option code) const noexcept { return number<std::uint8_t>(get(code)); }
std::optional<std::uint16_t> Options::u16(Option code) const noexcept { return number<std::uint16_t>(get(code)); }
std::optional<std::uint32_t> Options::u32(Option code) const noexcept { return number<std::uint32_t>(get(code)); }

// The parts of one option may be apart: then the earlier ones move to the end, so that the value is in one piece.
bool Options::append(Option code, ByteSpan value) noexcept {
    const std::size_t i = index(code);
    const std::size_t before = length_[i];
    const bool at_end = start_[i] + before == used_;
    const std::size_t moved = at_end ? 0 : before;
    if (used_ + moved + value.size() > capacity) return false;
    if (!at_end) {
        std::copy_n(bytes_.begin() + start_[i], before, bytes_.begin() + used_);
        start_[i] = used_;
        used_ = static_cast<std::uint16_t>(used_ + before);
    }
    if (!present_[i]) start_[i] = used_;
    std::ranges::copy(value, bytes_.begin() + used_);
    used_ = static_cast<std::uint16_t>(used_ + value.size());
    length_[i] = static_cast<std::uint16_t>(before + value.size());
    present_[i] = true;
    return true;
}

void OptionWriter::put(Option code, ByteSpan value) noexcept {
    const std::size_t parts = std::max<std::size_t>(1, (value.size() + max_option_bytes - 1) / max_option_bytes);
    if (used_ + value.size() + 2 * parts > capacity) {
        if (used_ < optional_from_) ok_ = false;
        return;
    }
    do {
        const ByteSpan part = value.first(std::min(value.size(), max_option_bytes));
        bytes_[used_++] = static_cast<std::byte>(code);
        bytes_[used_++] = static_cast<std::byte>(part.size());
        std::ranges::copy(part, bytes_.begin() + static_cast<std::ptrdiff_t>(used_));
        used_ += part.size();
        value = value.subspan(part.size());
    } while (!value.empty());
}

void OptionWriter::u8(Option code, std::uint8_t value) noexcept {
    const std::array bytes{static_cast<std::byte>(value)};
    put(code, bytes);
}

void OptionWriter::u32(Option code, std::uint32_t value) noexcept {
    std::array<std::byte, 4> bytes{};
    store_be(bytes, 0, value);
    put(code, bytes);
}

}  // namespace diskless::dhcp::wire
