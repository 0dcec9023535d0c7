#include "boot/firmware.hpp"

namespace diskless::boot {

Firmware firmware_of(const FirmwareHints& hints) noexcept {
    Firmware firmware;
    if (hints.architecture) firmware.architecture = static_cast<Architecture>(*hints.architecture);
    // Deviation: RFC 3004 wants a length byte before each user class; iPXE sends the bare word. Both are found by looking for the word.
    if (hints.user_class.find("iPXE") != std::string_view::npos || hints.has_ipxe_options) {
        firmware.stage = Stage::ipxe;
        firmware.ipxe_http = hints.ipxe_http;
        firmware.ipxe_iscsi = hints.ipxe_iscsi;
    } else if (hints.vendor_class.starts_with("HTTPClient")) {
        firmware.stage = Stage::http_firmware;
    } else if (hints.vendor_class.starts_with("PXEClient")) {
        firmware.stage = Stage::pxe_rom;
    } else if (hints.vendor_class.starts_with("Linux ipconfig")) {
        firmware.stage = Stage::system;
    } else if (hints.vendor_class.empty() && !hints.architecture && hints.requested == "\x01\x03\x06\x11") {
        // EDK2's IScsiDxe says nothing of itself. It asks for mask, router, name servers and root path; systems ask for more.
        firmware.stage = Stage::san_firmware;
    }
    return firmware;
}

}  // namespace diskless::boot
