#include "services/iscsi/scsi/sense.hpp"

#include <limits>

namespace diskless::scsi {
namespace {

// SPC-4 4.5.3
EncodedSense encode_fixed(const Sense& sense) noexcept {
    EncodedSense out{.size = 18};
    ByteWriter writer{out.bytes};
    const bool fits = sense.has_information && sense.information <= std::numeric_limits<std::uint32_t>::max();
    writer.u8(static_cast<std::uint8_t>(0x70 | (fits ? 0x80 : 0)));  // current error, VALID
    writer.u8(0);
    writer.u8(static_cast<std::uint8_t>(sense.key));
    writer.be(static_cast<std::uint32_t>(fits ? sense.information : 0));
    writer.u8(10);  // additional length: 18 - 8
    writer.zeros(4);
    writer.be(sense.asc_ascq);
    writer.u8(0);
    writer.u8(static_cast<std::uint8_t>(sense.specific >> 16));
    writer.be(static_cast<std::uint16_t>(sense.specific));
    return out;
}

// SPC-4 4.5.2
EncodedSense encode_descriptors(const Sense& sense) noexcept {
    EncodedSense out;
    ByteWriter writer{out.bytes};
    const std::uint8_t additional = static_cast<std::uint8_t>((sense.has_information ? 12 : 0) + (sense.specific != 0 ? 8 : 0));
    writer.u8(0x72);
    writer.u8(static_cast<std::uint8_t>(sense.key));
    writer.be(sense.asc_ascq);
    writer.zeros(3);
    writer.u8(additional);
    if (sense.has_information) {
        writer.be<std::uint32_t>(0x000a8000);  // information descriptor, VALID
        writer.be(sense.information);
    }
    if (sense.specific != 0) {
        writer.be<std::uint32_t>(0x02060000);  // sense key specific descriptor
        writer.u8(static_cast<std::uint8_t>(sense.specific >> 16));
        writer.be(static_cast<std::uint16_t>(sense.specific));
        writer.u8(0);
    }
    out.size = writer.size();
    return out;
}

}  // namespace

EncodedSense encode_sense(const Sense& sense, bool descriptor_format) noexcept {
    return descriptor_format ? encode_descriptors(sense) : encode_fixed(sense);
}

}  // namespace diskless::scsi
