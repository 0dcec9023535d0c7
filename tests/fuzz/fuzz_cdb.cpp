// Any CDB with any data on a small disk in memory: no crash, no read or write out of bounds, and the contract between transport and unit
// holds. Input: one byte for the LUN and the expected length, 16 bytes of CDB, then the data-out; repeated.
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "services/iscsi/scsi/lun_map.hpp"
#include "storage/memory.hpp"

namespace {

using namespace diskless;

class FuzzCommand final : public scsi::Command {
 public:
    void finished() noexcept override { std::abort(); }  // memory completes at once
};

void require(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    auto device = std::make_shared<storage::MemoryDevice>(storage::Geometry{.size_bytes = 256 << 10, .can_discard = true});
    scsi::LunMap units{{std::make_shared<scsi::LogicalUnit>(device, scsi::Identity{.target_name = "iqn.2026-11.fuzz:disk"})}};
    const scsi::ITNexus nexus{.id = 1, .initiator_port = "fuzz"};
    units.attach(nexus);
    ByteReader input{std::as_bytes(std::span{bytes, size})};
    while (input.remaining() >= 17) {
        const std::uint8_t selector = input.u8();
        FuzzCommand command;
        command.cdb = input.bytes(16);
        command.nexus = &nexus;
        command.lun = selector & 1;
        const auto transfer = units.examine(command);
        if (!transfer) {
            require(command.status != scsi::Status::good);
            continue;
        }
        require(transfer->length_bytes <= scsi::max_transfer_bytes);
        std::vector<std::byte> data(std::min<std::uint64_t>(transfer->length_bytes, (selector >> 1) * std::uint64_t{500}));
        if (transfer->direction == scsi::Transfer::Direction::data_out) {
            const ByteSpan sent = input.bytes(std::min(data.size(), input.remaining()));
            std::ranges::copy(sent, data.begin());
        }
        command.data = data;
        require(units.execute(command) == storage::Started::completed);
        require(command.data_in_bytes <= data.size());
    }
    return 0;
}
