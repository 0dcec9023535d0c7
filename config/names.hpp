// What a name may be. A client's name is a host name and the end of an iSCSI name at once (RFC 1123 2.1, RFC 7143 4.2.7.1, RFC 3722).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace diskless::config {

// One label of a host name, and short enough for every name that is made of it.
inline constexpr std::size_t max_name_length = 63;
// An iSCSI name has at most 223 bytes (RFC 7143 4.2.7.1); the longest we make is "<prefix>.initiator:<name>".
inline constexpr std::size_t max_target_prefix_length = 223 - sizeof(".initiator:") + 1 - max_name_length;

/// Of a client, group, image or target: lower-case letters, digits, '-' and '.', no label empty or with '-' at an end.
[[nodiscard]] bool is_name(std::string_view text) noexcept;
inline constexpr std::string_view name_form = "lower-case letters, digits, '-' and '.', at most 63, such as \"desk-01\"";

/// The same labels, as long as a whole domain name may be.
[[nodiscard]] bool is_domain_name(std::string_view text) noexcept;

/// "iqn.2026-11.lan.lab": date and reversed domain, optionally more behind a colon (RFC 7143 4.2.7.3.1).
[[nodiscard]] bool is_target_prefix(std::string_view text) noexcept;

/// An initiator name with '*' and '?' for what is left open. Names are compared in lower case.
std::optional<std::string> parse_initiator_pattern(std::string_view text) noexcept;

/// "debian-12@3" -> "debian-12" and 3.
struct ImageReference {
    std::string_view name;
    std::optional<unsigned> version;
};
[[nodiscard]] std::optional<ImageReference> parse_image_reference(std::string_view text) noexcept;

}  // namespace diskless::config
