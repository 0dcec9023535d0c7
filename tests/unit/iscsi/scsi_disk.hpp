// A SCSI disk in memory and commands on it, for the tests of services/iscsi/scsi.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>
#include <vector>

#include "services/iscsi/scsi/lun_map.hpp"
#include "storage/fault.hpp"
#include "storage/memory.hpp"

namespace diskless::scsi::test {

class TestCommand final : public Command {
 public:
    TestCommand(std::initializer_list<int> bytes, const ITNexus* nexus_ = nullptr) {
        std::size_t i = 0;
        for (const int b : bytes) cdb_[i++] = static_cast<std::byte>(b);
        cdb = cdb_;
        nexus = nexus_;
    }
    void finished() noexcept override { ++finished_calls; }

    /// The whole dialogue of a transport: examine, provide the buffer, execute. `expected`: the initiator's expected length.
    Status run(LunMap& units, std::size_t expected = 1 << 20, std::vector<std::byte> out = {}) {
        const auto transfer = units.examine(*this);
        if (!transfer) return status;
        examined = *transfer;
        if (transfer->direction == Transfer::Direction::data_in) {
            buffer.assign(std::min<std::uint64_t>(expected, transfer->length_bytes), std::byte{0xee});
        } else if (transfer->direction == Transfer::Direction::data_out) {
            buffer = std::move(out);
            buffer.resize(std::min<std::uint64_t>({expected, transfer->length_bytes, buffer.size()}));
        }
        data = buffer;
        started = units.execute(*this);
        return status;
    }
    [[nodiscard]] ByteSpan data_in() const { return ByteSpan{buffer}.first(data_in_bytes); }

    std::vector<std::byte> buffer;
    Transfer examined;
    storage::Started started = storage::Started::completed;
    int finished_calls = 0;

 private:
    std::array<std::byte, 16> cdb_{};
};

struct Disk {
    explicit Disk(storage::Geometry geometry = {.size_bytes = 1 << 20, .can_discard = true})
        : memory{std::make_shared<storage::MemoryDevice>(geometry)},
          fault{std::make_shared<storage::FaultDevice>(memory)},
          unit{std::make_shared<LogicalUnit>(fault, Identity{.target_name = "iqn.2026-11.lan.lab:desk-01", .lun = 0, .sanitize = true})},
          units{{unit}} {}

    std::shared_ptr<storage::MemoryDevice> memory;
    std::shared_ptr<storage::FaultDevice> fault;
    std::shared_ptr<LogicalUnit> unit;
    LunMap units;
};

inline std::vector<std::byte> pattern(std::size_t size, unsigned seed = 1) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 512 + seed);
    return bytes;
}

}  // namespace diskless::scsi::test
