#include "services/dhcp/request_view.hpp"

#include "common/text.hpp"

namespace diskless::dhcp {
namespace {

using wire::Option;

/// The value of a sub-option, for the encapsulated lists of options 82 and 175; nothing: it is not there.
std::optional<ByteSpan> sub_option(ByteSpan list, std::uint8_t wanted) noexcept {
    ByteReader reader{list};
    while (reader.remaining() >= 2) {
        const std::uint8_t code = reader.u8();
        const ByteSpan value = reader.bytes(reader.u8());
        if (!reader.ok()) return std::nullopt;
        if (code == wanted) return value;
    }
    return std::nullopt;
}

/// A feature of iPXE: its number's presence says yes, unless the value says no.
bool has_feature(ByteSpan ipxe, std::uint8_t number) noexcept {
    const auto value = sub_option(ipxe, number);
    return value && (value->empty() || (*value)[0] != std::byte{0});
}

std::string_view name_of(boot::Architecture architecture) noexcept {
    using enum boot::Architecture;
    switch (architecture) {
        case bios: return "BIOS";
        case efi_ia32:
        case http_ia32: return "UEFI ia32";
        case efi_x64:
        case efi_bc:
        case http_x64:
        case http_bc: return "UEFI x64";
        case efi_arm32:
        case http_arm32: return "UEFI arm32";
        case efi_arm64:
        case http_arm64: return "UEFI arm64";
    }
    return "unknown architecture";
}

std::string_view name_of(boot::Stage stage) noexcept {
    switch (stage) {
        case boot::Stage::plain: return "system";
        case boot::Stage::system: return "initramfs";
        case boot::Stage::san_firmware: return "firmware's iSCSI initiator";
        case boot::Stage::pxe_rom: return "PXE ROM";
        case boot::Stage::http_firmware: return "HTTP boot";
        case boot::Stage::ipxe: return "iPXE";
    }
    return {};
}

}  // namespace

boot::FirmwareHints hints_of(const wire::Options& options) noexcept {
    constexpr std::uint8_t ipxe_iscsi = 0x11, ipxe_http = 0x13;
    const ByteSpan ipxe = options.get(Option::ipxe);
    return {.architecture = options.u16(Option::client_system_architecture),
            .vendor_class = options.text(Option::vendor_class),
            .user_class = options.text(Option::user_class),
            .requested = options.text(Option::parameter_request_list),
            .has_ipxe_options = options.has(Option::ipxe),
            .ipxe_http = has_feature(ipxe, ipxe_http),
            .ipxe_iscsi = has_feature(ipxe, ipxe_iscsi)};
}

std::optional<Uuid> uuid_of(const wire::Options& options) noexcept {
    const ByteSpan value = options.get(Option::client_machine_identifier);
    if (value.size() != 17 || value[0] != std::byte{0}) return std::nullopt;
    return Uuid::from_wire(value.subspan(1));
}

std::optional<Ipv4Address> link_selection(const wire::Options& options) noexcept {
    constexpr std::uint8_t link_selection_code = 5;
    const auto value = sub_option(options.get(Option::relay_agent_information), link_selection_code);
    if (!value || value->size() != 4) return std::nullopt;
    return Ipv4Address{load_be<std::uint32_t>(*value, 0)};
}

std::string describe(const boot::Firmware& firmware, std::string_view vendor_class) {
    constexpr std::size_t class_limit = 40;
    using enum boot::Stage;
    const bool boots = firmware.stage != plain && firmware.stage != system && firmware.stage != san_firmware;
    std::string who{name_of(firmware.stage)};
    if (boots) who = fmt::format("{}, {}", name_of(firmware.architecture), who);
    if (vendor_class.empty()) return boots ? who : "a " + who;
    // The driver interface's version behind the architecture tells nobody anything.
    return fmt::format("{} ({})", escaped(vendor_class.substr(0, vendor_class.find(":UNDI")), class_limit), who);
}

}  // namespace diskless::dhcp
