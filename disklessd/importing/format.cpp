#include "disklessd/importing/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <ranges>

namespace diskless::importing {
namespace {

using namespace std::string_view_literals;

constexpr std::array<std::string_view, 6> format_names{"raw", "iso", "qcow2", "vmdk", "vpc", "vhdx"};

struct Magic {
    std::size_t offset = 0;
    std::string_view bytes;
    [[nodiscard]] bool is_in(ByteSpan head) const noexcept {
        return head.size() >= offset + bytes.size() && as_text(head.subspan(offset, bytes.size())) == bytes;
    }
};

struct PackingMagic {
    Packing packing = Packing::none;
    std::string_view suffix;
    Magic magic;
};
constexpr std::array packings{
    PackingMagic{Packing::gzip, ".gz", {0, "\x1f\x8b"sv}},
    PackingMagic{Packing::xz,
                 ".xz",
                 {0,
                  "\xfd"
                  "7zXZ\0"sv}},
    PackingMagic{Packing::zstd, ".zst", {0, "\x28\xb5\x2f\xfd"sv}},
};

constexpr Magic vmdk_descriptor{0, "# Disk DescriptorFile"sv};

struct FormatMagic {
    Format format = Format::raw;
    Magic magic;
};
constexpr std::array formats{
    FormatMagic{Format::qcow2, {0, "QFI\xfb"sv}}, FormatMagic{Format::vmdk, {0, "KDMV"sv}},    FormatMagic{Format::vmdk, {0, "COWD"sv}},
    FormatMagic{Format::vmdk, vmdk_descriptor},   FormatMagic{Format::vpc, {0, "conectix"sv}}, FormatMagic{Format::vhdx, {0, "vhdxfile"sv}},
    FormatMagic{Format::iso, {32769, "CD001"sv}},
};

struct Foreign {
    std::string_view what;
    Magic magic;
};
/// What people have, and what would be no disk if it were taken for raw.
constexpr std::array foreign{
    Foreign{"a zip archive", {0, "PK\x03\x04"sv}},
    Foreign{"a bzip2 file", {0, "BZh"sv}},
    Foreign{"a 7z archive", {0, "7z\xbc\xaf\x27\x1c"sv}},
    Foreign{"a tar archive (of an appliance?)", {257, "ustar"sv}},
    Foreign{"a VirtualBox image", {64, "\x7f\x10\xda\xbe"sv}},
    Foreign{"a QED image", {0, "QED\0"sv}},
};

std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string without_packing_suffix(std::string_view file_name) {
    std::string name = lower(file_name);
    for (const PackingMagic& packing : packings) {
        if (name.ends_with(packing.suffix)) return name.substr(0, name.size() - packing.suffix.size());
    }
    return name;
}

std::optional<Format> by_magic(ByteSpan head) {
    const auto found = std::ranges::find_if(formats, [&](const FormatMagic& f) { return f.magic.is_in(head); });
    return found == formats.end() ? std::nullopt : std::optional{found->format};
}

std::optional<Format> by_suffix(std::string_view file_name) {
    const std::string name = without_packing_suffix(file_name);
    const auto dot = name.rfind('.');
    if (dot == std::string::npos) return std::nullopt;
    const auto format = parse_format(std::string_view{name}.substr(dot + 1));
    return format ? std::optional{*format} : std::nullopt;
}

/// A fixed VHD has its magic at its end only, and raw has none.
bool begins_with_magic(Format format) noexcept { return format == Format::qcow2 || format == Format::vmdk || format == Format::vhdx; }

// Offsets of qcow2's header (QEMU docs/interop/qcow2).
constexpr std::size_t qcow2_header_bytes = 104;
constexpr std::uint64_t qcow2_external_data = 4;  // incompatible feature bit 2

std::string qcow2_refusal(ByteSpan head) {
    const auto version = head.size() >= 72 ? load_be<std::uint32_t>(head, 4) : 0;
    if (version != 2 && version != 3) return "is no qcow2 of version 2 or 3; convert it: qemu-img convert -O qcow2";
    if (load_be<std::uint64_t>(head, 8) != 0) return "is an overlay that names a backing file; flatten it first: qemu-img convert -O qcow2";
    if (load_be<std::uint32_t>(head, 32) != 0) return "is encrypted; decrypt it first: qemu-img convert";
    if (version == 3 && head.size() >= qcow2_header_bytes && (load_be<std::uint64_t>(head, 72) & qcow2_external_data) != 0)
        return "keeps its data in another file; flatten it first: qemu-img convert -O qcow2";
    return {};
}

std::string vmdk_refusal(ByteSpan head) {
    // A sparse extent without a capacity is only the wrapping of a descriptor, which names others.
    const bool is_wrapping = head.size() >= 20 && as_text(head.first(4)) == "KDMV" && load_be<std::uint64_t>(head, 12) == 0;
    if (!is_wrapping && !vmdk_descriptor.is_in(head)) return {};
    return "only describes a disk whose data is in other files; make one file of it: qemu-img convert -O qcow2";
}

std::string vpc_refusal(ByteSpan head) {
    constexpr std::uint32_t differencing = 4;
    if (head.size() < 64 || as_text(head.first(8)) != "conectix" || load_be<std::uint32_t>(head, 60) != differencing) return {};
    return "is a differencing disk that names its parent; merge them first";
}

}  // namespace

std::string_view name_of(Format format) noexcept { return format_names.at(static_cast<std::size_t>(format)); }

std::expected<Format, std::string> parse_format(std::string_view name) {
    if (name == "vhd") return Format::vpc;
    if (name == "img") return Format::raw;
    const auto found = std::ranges::find(format_names, name);
    if (found != format_names.end()) return static_cast<Format>(found - format_names.begin());
    return std::unexpected{fmt::format("there is no format \"{}\"; formats are {}", name, fmt::join(format_names, ", "))};
}

std::expected<Packing, std::string> packing_of(std::string_view file_name, ByteSpan head) {
    const auto found = std::ranges::find_if(packings, [&](const PackingMagic& p) { return p.magic.is_in(head); });
    if (found != packings.end()) return found->packing;
    const std::string name = lower(file_name);
    const auto promised = std::ranges::find_if(packings, [&](const PackingMagic& p) { return name.ends_with(p.suffix); });
    if (promised == packings.end()) return Packing::none;
    return std::unexpected{fmt::format("is named {0} but is not packed that way; get it again, or name it without {0}", promised->suffix)};
}

std::expected<Format, std::string> format_of(std::string_view file_name, ByteSpan head, std::string_view stated) {
    const auto seen = by_magic(head);
    if (!stated.empty()) {
        const auto format = parse_format(stated);
        if (format && begins_with_magic(*format) && seen != *format)
            return std::unexpected{fmt::format("is no {} image; leave --format out to have it recognised", stated)};
        return format;
    }
    if (seen) return *seen;
    if (const auto other = std::ranges::find_if(foreign, [&](const Foreign& f) { return f.magic.is_in(head); }); other != foreign.end())
        return std::unexpected{
            fmt::format("is {}, no disk image; unpack or convert it first, or say --format raw if it is a disk all the same", other->what)};
    const auto named = by_suffix(file_name);
    if (named && begins_with_magic(*named))
        return std::unexpected{fmt::format("is named .{0} but is no {0} image; say --format raw to take it as it is", name_of(*named))};
    return named.value_or(Format::raw);
}

std::string refusal_of(Format format, ByteSpan head) {
    switch (format) {
        case Format::qcow2: return qcow2_refusal(head);
        case Format::vmdk: return vmdk_refusal(head);
        case Format::vpc: return vpc_refusal(head);
        case Format::raw:
        case Format::iso:
        case Format::vhdx: return {};
    }
    return {};
}

}  // namespace diskless::importing
