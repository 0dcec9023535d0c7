// The whole connection machine: framing, login, full feature phase, SCSI, over a small disk in memory. The first byte chooses: raw bytes
// from the first one on, or PDUs behind a login that has succeeded, their headers completed so that the fuzzer gets deep (lengths, CmdSN,
// digests).
#include <algorithm>
#include <cstdlib>

#include "tests/support/endpoint_lab.hpp"
#include "tests/support/raw_initiator.hpp"

using namespace diskless;
using namespace diskless::test;

namespace {

void log_in(EndpointLab& lab, bool initial_r2t, wire::Digests digests) {
    const wire::LoginRequest request{.transit = true,
                                     .current_stage = wire::Stage::login_operational_negotiation,
                                     .next_stage = wire::Stage::full_feature_phase,
                                     .cmd_sn = 1};
    lab.feed(encode(make_pdu(request, text_segment({{"InitiatorName", "iqn.x"},
                                                    {"TargetName", "iqn.t:d"},
                                                    {"InitialR2T", initial_r2t ? "Yes" : "No"},
                                                    {"HeaderDigest", digests.header ? "CRC32C" : "None"},
                                                    {"DataDigest", digests.data ? "CRC32C" : "None"},
                                                    {"MaxRecvDataSegmentLength", "512"},
                                                    {"MaxOutstandingR2T", "4"}}))));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const unsigned mode = data[0];
    ByteSpan input{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
    EndpointLab lab{(mode & 8) != 0 ? std::uint64_t{1} << 16 : std::uint64_t{8} << 20};
    if ((mode & 1) == 0) {
        lab.feed(input);
        return 0;
    }
    const wire::Digests digests{.header = (mode & 2) != 0, .data = (mode & 2) != 0};
    log_in(lab, (mode & 4) != 0, digests);
    if (lab.endpoint.session() == nullptr) std::abort();
    std::uint32_t cmd_sn = 1;
    // Each PDU: one byte that says how its numbers are made, 48 bytes of header, then a data segment as long as the header says, if it is
    // there.
    while (input.size() > wire::bhs_bytes && !lab.endpoint.finished()) {
        const auto how = std::to_integer<unsigned>(input[0]);
        Pdu pdu;
        std::ranges::copy(input.subspan(1, wire::bhs_bytes), pdu.bhs.begin());
        input = input.subspan(1 + wire::bhs_bytes);
        const std::size_t length = std::min<std::size_t>({wire::data_segment_length_of(pdu.bhs), 8192, input.size()});
        pdu.data.assign(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(length));
        wire::set_data_segment_length(pdu.bhs, length);
        input = input.subspan(length);
        pdu.bhs[4] = std::byte{0};
        if ((how & 1) == 0 && pdu.opcode() != wire::Opcode::data_out) {
            store_be(MutableByteSpan{pdu.bhs}, 24, cmd_sn);
            if (!wire::is_immediate(pdu.bhs)) ++cmd_sn;
        }
        if ((how & 2) == 0) store_be(MutableByteSpan{pdu.bhs}, 16, static_cast<std::uint32_t>(how >> 5));
        lab.feed(encode(pdu, digests));
    }
    return 0;
}
