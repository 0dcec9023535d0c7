// LunMap: the logical units of one target, as its sessions see them. Routes commands by LUN, answers REPORT LUNS, and speaks for LUNs that
// are not there (SPC-4 6.6, 6.33; SAM-5 5.11). Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "services/iscsi/scsi/logical_unit.hpp"

namespace diskless::scsi {

class LunMap {
 public:
    using Units = std::vector<std::shared_ptr<LogicalUnit>>;

    /// LUNs are unique.
    explicit LunMap(Units units);

    /// Decides on the command from its CDB and LUN. A Transfer: provide the data, then execute(). Nothing: the command has ended.
    [[nodiscard]] std::optional<Transfer> examine(Command& command);
    /// completed: status, sense and data_in_bytes are set. pending: command.finished() will be called.
    [[nodiscard]] storage::Started execute(Command& command);

    void attach(const ITNexus& nexus);
    void detach(const ITNexus& nexus);

    /// Another set of units (after a reload). Units that stay keep their state; every nexus learns that the list has changed.
    void replace(Units units);
    [[nodiscard]] Units units() const;
    [[nodiscard]] std::shared_ptr<LogicalUnit> find(std::uint64_t lun) const;

    /// To every nexus of every thinly provisioned unit.
    void post_to_thin(std::uint16_t asc_ascq);
    /// False: no such LUN.
    bool reset_unit(std::uint64_t lun);
    void reset_all();

    /// The flat LUN of an 8-byte LUN field; nothing for what is neither peripheral nor flat addressing of a single level (SAM-5 4.7).
    [[nodiscard]] static std::optional<std::uint64_t> decode_lun(ByteSpan eight) noexcept;
    static void encode_lun(MutableByteSpan eight, std::uint64_t lun) noexcept;

 private:
    [[nodiscard]] std::shared_ptr<LogicalUnit> find_named(ByteSpan designator) const;
    std::optional<Transfer> examine_absent(Command& command);
    void execute_absent(Command& command);
    void report_luns(Command& command);

    mutable std::mutex mutex_;
    Units units_;
    std::vector<ITNexus> nexuses_;
};

}  // namespace diskless::scsi
