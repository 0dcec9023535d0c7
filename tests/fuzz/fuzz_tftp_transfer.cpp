// A transfer under any acknowledgements and timeouts: it never sends past the file or the window, never goes on after its end, and never
// answers one packet with more than a window (the Sorcerer's Apprentice feeds on that). Input: file size, options, then events.
#include <algorithm>
#include <cstdlib>

#include "services/tftp/transfer.hpp"

namespace {

using namespace diskless;
using namespace diskless::tftp;
using Kind = Transfer::Action::Kind;

void require(bool condition) {
    if (!condition) std::abort();
}

struct Input {
    const std::uint8_t* data;
    std::size_t left;

    std::uint8_t u8() noexcept { return left == 0 ? 0 : (--left, *data++); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(u8() << 8 | u8()); }
};

wire::Options options_from(Input& input) {
    wire::Options options;
    const unsigned present = input.u8();
    if ((present & 1) != 0) options.blksize = static_cast<std::uint16_t>(8 + input.u16() % (65464 - 7));
    if ((present & 2) != 0) options.timeout_s = static_cast<std::uint8_t>(1 + input.u8() % 255);
    if ((present & 4) != 0) options.tsize = 0;
    if ((present & 8) != 0) options.windowsize = static_cast<std::uint16_t>(1 + input.u16() % 65535);
    return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input{data, size};
    const std::uint64_t size_bytes = std::uint64_t{input.u16()} * (1 + input.u8());
    const wire::Options asked = options_from(input);
    const TransferLimits limits{};
    Transfer transfer{size_bytes, asked, limits};
    const std::uint64_t window = transfer.oack().windowsize.value_or(1);
    require(window <= limits.max_windowsize && transfer.blksize() <= limits.max_blksize);
    require(transfer.oack().any() || transfer.blksize() == 512);

    std::uint64_t highest = 0;  // the last block ever sent
    unsigned silent = 0;        // timeouts so far
    Transfer::Action action = transfer.start();
    while (true) {
        if (action.kind == Kind::send_blocks) {
            require(action.count >= 1 && action.count <= window && action.first >= 1 && action.first <= highest + 1);
            highest = std::max(highest, action.first + action.count - 1);
            require(highest <= transfer.last_block());
            require(transfer.length_of(highest) == transfer.blksize() || highest == transfer.last_block());
        }
        if (action.kind == Kind::done) require(highest == transfer.last_block());
        if (action.kind == Kind::give_up) require(silent > limits.max_retransmits);
        if (action.kind == Kind::done || action.kind == Kind::give_up || input.left == 0) return 0;
        // Mostly plausible acknowledgements (of what was sent, or near it), sometimes any number at all, sometimes silence.
        const unsigned event = input.u8();
        if (event < 32) {
            ++silent;
            action = transfer.on_timeout();
        } else {
            const std::uint16_t block = event < 64 ? input.u16() : static_cast<std::uint16_t>(highest - (event & 15) + 2);
            action = transfer.on_ack(event >= 192 ? Transfer::on_wire(highest) : block);
            require(action.kind != Kind::give_up);
        }
    }
}
