// What a name may be. A client's name is a host name and the end of an iSCSI name at once (RFC 1123 2.1, RFC 7143 4.2.7.1, RFC 3722).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/network.hpp"

#include "boot/dhcp_option.hpp"

namespace diskless::config {

// One label of a host name, and short enough for every name that is made of it.
inline constexpr std::size_t max_name_length = 63;
// An iSCSI name has at most 223 bytes (RFC 7143 4.2.7.1); the longest we make is "<prefix>.initiator:<name>".
inline constexpr std::size_t max_target_prefix_length = 223 - sizeof(".initiator:") + 1 - max_name_length;

/// Of a client, group, image or target: lower-case letters, digits, '-' and '.', no label empty or with '-' at an end.
[[nodiscard]] bool is_name(std::string_view text) noexcept;
inline constexpr std::string_view name_form = "lower-case letters, digits, '-' and '.', at most 63, such as \"desk-01\"";

[[nodiscard]] std::optional<std::string> parse_name(std::string_view text) noexcept;

/// A path below the boot root: no spaces, no control characters, no "..".
[[nodiscard]] std::optional<std::string> parse_boot_path(std::string_view text) noexcept;
inline constexpr std::string_view boot_path_form = "a path below the boot root without spaces such as \"vmlinuz\"";

/// "pc-{mac}", "{group}-{nn}": a name with {mac}, {group}, and {n}, {nn}, {nnn} for a number.
[[nodiscard]] std::optional<std::string> parse_name_template(std::string_view text) noexcept;

/// The same labels, as long as a whole domain name may be.
[[nodiscard]] bool is_domain_name(std::string_view text) noexcept;

/// "iqn.2026-11.lan.lab": date and reversed domain, optionally more behind a colon (RFC 7143 4.2.7.3.1).
[[nodiscard]] bool is_target_prefix(std::string_view text) noexcept;

/// An initiator name with '*' and '?' for what is left open. Names are compared in lower case.
std::optional<std::string> parse_initiator_pattern(std::string_view text) noexcept;

// CHAP_N has no limit but the text segment's; RADIUS, whose users often are the same, ends at 253 (RFC 2865 5.1).
inline constexpr std::size_t max_chap_word_length = 253;

/// A user of CHAP, as the secrets' file writes it: no spaces.
std::optional<std::string> parse_chap_user(std::string_view text) noexcept;
inline constexpr std::string_view chap_user_form = "a user of [iscsi] chap_secrets";

/// "192.168.77.0/24", "10.0.0.5-10.0.0.9" or one address.
std::optional<Ipv4Range> parse_addresses(std::string_view text) noexcept;
inline constexpr std::string_view addresses_form = "addresses such as \"192.168.77.0/24\", \"10.0.0.5-10.0.0.9\" or \"10.0.0.5\"";

/// Where a target has moved: "san2.lan:3260", "192.168.77.2:3260" (RFC 7143 13.8).
std::optional<std::string> parse_redirect(std::string_view text) noexcept;
inline constexpr std::string_view redirect_form = "the other server's name or address and its port, such as \"192.168.77.2:3260\"";

/// "debian-12@3" -> "debian-12" and 3.
struct ImageReference {
    std::string_view name;
    std::optional<unsigned> version;
};
[[nodiscard]] std::optional<ImageReference> parse_image_reference(std::string_view text) noexcept;

/// As boot::DhcpOption::parse; for TableReader.
[[nodiscard]] std::optional<boot::DhcpOption> parse_dhcp_option(std::string_view text) noexcept;
inline constexpr std::string_view dhcp_option_form =
    "an option's name and value such as \"ntp-servers 192.168.77.1\", or number, type and value such as \"224 text hello\" (types: ip, "
    "text, "
    "hex, u8, u16, u32); what the server makes itself cannot be written";

}  // namespace diskless::config
