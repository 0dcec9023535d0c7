// PDU framing and the header codecs: any 48 bytes have a layout within limits or are refused, and decode(encode(x)) == x.
#include <cstdlib>

#include "services/iscsi/wire/pdu.hpp"
#include "services/iscsi/wire/requests.hpp"
#include "services/iscsi/wire/responses.hpp"

namespace {

using namespace diskless;
using namespace diskless::iscsi::wire;

template<class Value>
void round_trip(ByteSpan bhs) {
    const Value value = Value::decode(bhs);
    Bhs encoded;
    value.encode(encoded);
    if (Value::decode(encoded) != value) std::abort();
}

template<>
void round_trip<LoginRequest>(ByteSpan bhs) {
    LoginRequest value = LoginRequest::decode(bhs);
    if (!value.transit) value.next_stage = {};  // only meaningful with T
    Bhs encoded;
    value.encode(encoded);
    if (LoginRequest::decode(encoded) != value) std::abort();
}

template<>
void round_trip<LoginResponse>(ByteSpan bhs) {
    LoginResponse value = LoginResponse::decode(bhs);
    if (!value.transit) value.next_stage = {};
    Bhs encoded;
    value.encode(encoded);
    if (LoginResponse::decode(encoded) != value) std::abort();
}

/// What is only called to see that it does not crash.
template<class Value>
void use(const Value&) {}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteSpan bytes{reinterpret_cast<const std::byte*>(data), size};
    if (size < bhs_bytes) return 0;
    for (const Digests digests : {Digests{}, Digests{.header = true, .data = true}}) {
        const auto layout = layout_of(bytes, digests, 65536);
        if (layout && layout->total_bytes() <= size) {
            (void)header_digest_holds(bytes.first(layout->header_bytes()), *layout);
            use(additional_headers(bytes.subspan(bhs_bytes, layout->ahs_bytes)));
        }
    }
    use(additional_headers(bytes.subspan(bhs_bytes)));
    (void)flat_lun(load_be<std::uint64_t>(bytes, 8));
    round_trip<LoginRequest>(bytes);
    round_trip<ScsiCommand>(bytes);
    round_trip<DataOut>(bytes);
    round_trip<NopOut>(bytes);
    round_trip<TaskManagementRequest>(bytes);
    round_trip<TextRequest>(bytes);
    round_trip<LogoutRequest>(bytes);
    round_trip<LoginResponse>(bytes);
    round_trip<ScsiResponse>(bytes);
    round_trip<DataIn>(bytes);
    round_trip<R2t>(bytes);
    round_trip<NopIn>(bytes);
    round_trip<TaskManagementResponse>(bytes);
    round_trip<TextResponse>(bytes);
    round_trip<LogoutResponse>(bytes);
    round_trip<Reject>(bytes);
    round_trip<AsyncMessage>(bytes);
    return 0;
}
