// DHCP options by name, and the two containers for them: Options holds what a packet had, OptionWriter makes what a reply will have.
// RFC 2132; 3046 (82); 3396 (long options); 4578 (93, 94, 97); iPXE's 175 and 203.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/bytes.hpp"
#include "common/network.hpp"

namespace diskless::dhcp::wire {

enum class Option : std::uint8_t {
    pad = 0,
    subnet_mask = 1,
    router = 3,
    domain_name_server = 6,
    host_name = 12,
    domain_name = 15,
    root_path = 17,
    broadcast_address = 28,
    vendor_specific = 43,
    requested_address = 50,
    lease_time = 51,
    overload = 52,
    message_type = 53,
    server_identifier = 54,
    parameter_request_list = 55,
    message = 56,
    max_message_size = 57,
    renewal_time = 58,
    rebinding_time = 59,
    vendor_class = 60,
    client_identifier = 61,
    tftp_server_name = 66,
    bootfile_name = 67,
    user_class = 77,
    relay_agent_information = 82,
    client_system_architecture = 93,
    client_machine_identifier = 97,
    subnet_selection = 118,
    ipxe = 175,
    initiator_iqn = 203,
    end = 255,
};

/// The options of one packet: each code once, its parts joined (RFC 3396). Fixed memory, no allocation.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): only what append() wrote is read
class Options {
 public:
    [[nodiscard]] bool has(Option code) const noexcept { return present_[index(code)]; }
    /// The value; empty when absent (or empty).
    [[nodiscard]] ByteSpan get(Option code) const noexcept { return ByteSpan{bytes_}.subspan(start_[index(code)], length_[index(code)]); }
    [[nodiscard]] std::string_view text(Option code) const noexcept { return as_text(get(code)); }
    [[nodiscard]] std::optional<Ipv4Address> address(Option code) const noexcept;
    [[nodiscard]] std::optional<std::uint8_t> u8(Option code) const noexcept;
    [[nodiscard]] std::optional<std::uint16_t> u16(Option code) const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> u32(Option code) const noexcept;

    /// Appends to the option of that code. False: no room, the packet is not one of this world.
    [[nodiscard]] bool append(Option code, ByteSpan value) noexcept;

    /// A datagram of 1500 bytes holds at most this much option data; larger ones are refused when they arrive.
    static constexpr std::size_t capacity = 4096;

 private:
    static std::size_t index(Option code) noexcept { return static_cast<std::size_t>(code); }

    std::array<bool, 256> present_{};
    std::array<std::uint16_t, 256> start_{};
    std::array<std::uint16_t, 256> length_{};
    std::array<std::byte, capacity> bytes_;
    std::uint16_t used_ = 0;
};

/// Options of a reply, in the order in which they are put. Long values are split (RFC 3396). What is put after optional_from_here() may be
/// left out, option by option, where the client's packet size has no room.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): only the first used_ are read
class OptionWriter {
 public:
    void put(Option code, ByteSpan value) noexcept;
    void text(Option code, std::string_view value) noexcept { put(code, as_bytes(value)); }
    void address(Option code, Ipv4Address value) noexcept { u32(code, value.value); }
    void u8(Option code, std::uint8_t value) noexcept;
    void u32(Option code, std::uint32_t value) noexcept;

    void optional_from_here() noexcept { optional_from_ = used_; }

    [[nodiscard]] ByteSpan bytes() const noexcept { return ByteSpan{bytes_}.first(used_); }
    [[nodiscard]] ByteSpan mandatory() const noexcept { return bytes().first(std::min(used_, optional_from_)); }
    [[nodiscard]] ByteSpan optional() const noexcept { return bytes().subspan(mandatory().size()); }
    /// Everything mandatory that was put found room.
    [[nodiscard]] bool ok() const noexcept { return ok_; }

    static constexpr std::size_t capacity = 1400;

 private:
    std::array<std::byte, capacity> bytes_;
    std::size_t used_ = 0;
    std::size_t optional_from_ = capacity;
    bool ok_ = true;
};

}  // namespace diskless::dhcp::wire
