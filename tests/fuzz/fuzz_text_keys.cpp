// Text keys: whatever is accepted can be written again and read the same; and every key of it gets an answer from the negotiation.
#include <cstdlib>
#include <string>

#include "services/iscsi/negotiation.hpp"
#include "services/iscsi/text_exchange.hpp"
#include "services/iscsi/wire/text_keys.hpp"

using namespace diskless;
using namespace diskless::iscsi;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto keys = wire::parse_text(text);
    if (!keys) return 0;
    std::string again;
    for (const wire::TextKey& key : *keys) wire::append_text(again, key.key, key.value);
    if (wire::parse_text(again) != keys) std::abort();
    for (const SessionType type : {SessionType::normal, SessionType::discovery}) {
        Negotiation negotiation{Limits{}, type};
        for (const wire::TextKey& key : *keys) negotiation.announce(key.key, key.value);
        for (const wire::TextKey& key : *keys) (void)negotiation.answer(key.key, key.value, NegotiationPhase::login);
        const Parameters& agreed = negotiation.parameters();
        if (agreed.first_burst_length > agreed.max_burst_length || agreed.initiator_max_recv_data_segment_length < 512) std::abort();
        if (agreed.max_outstanding_r2t < 1 || agreed.error_recovery_level != 0) std::abort();
    }
    return 0;
}
