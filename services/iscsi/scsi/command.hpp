// A SCSI command between transport and logical unit: the whole contract between iSCSI and SCSI. No iSCSI in here, and no Asio.
//
//     units.examine(command)  the CDB alone: is it known, may it run, how much data moves which way?   (before any data is transferred)
//     …the transport provides `data`: a buffer for data-in, or the complete data-out…
//     units.execute(command)  does it: completes inside the call, or later by command.finished()
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/bytes.hpp"
#include "storage/block_device.hpp"

namespace diskless::scsi {

/// SAM-5 5.3.1.
enum class Status : std::uint8_t {
    good = 0x00,
    check_condition = 0x02,
    condition_met = 0x04,
    busy = 0x08,
    reservation_conflict = 0x18,
    task_set_full = 0x28,
    aca_active = 0x30,
    task_aborted = 0x40,
};

/// SPC-4 4.5.6.
enum class SenseKey : std::uint8_t {
    no_sense = 0x0,
    recovered_error = 0x1,
    not_ready = 0x2,
    medium_error = 0x3,
    hardware_error = 0x4,
    illegal_request = 0x5,
    unit_attention = 0x6,
    data_protect = 0x7,
    blank_check = 0x8,
    copy_aborted = 0xa,
    aborted_command = 0xb,
    volume_overflow = 0xd,
    miscompare = 0xe,
};

struct Sense {
    SenseKey key = SenseKey::no_sense;
    std::uint16_t asc_ascq = 0;     ///< additional sense code << 8 | qualifier
    std::uint32_t specific = 0;     ///< sense-key specific bytes 15-17 in the low 24 bits (field pointer, progress); 0: none
    std::uint64_t information = 0;  ///< LBA or offset, where has_information
    bool has_information = false;

    friend bool operator==(const Sense&, const Sense&) = default;
};

/// Which way a command's data moves, and how much, as the CDB says. The transport moves the smaller of this and what the initiator expects.
/// For parameter data (INQUIRY and the like) the length is bounded by max_parameter_bytes, whatever the CDB's allocation length.
struct Transfer {
    enum class Direction : std::uint8_t { none, data_in, data_out };
    Direction direction = Direction::none;
    std::uint64_t length_bytes = 0;
};
inline constexpr std::uint64_t max_parameter_bytes = 8192;

/// One initiator port's view of one target: SAM-5 I_T nexus. Made by the transport at login, gone with the session.
struct ITNexus {
    std::uint64_t id = 0;        ///< unique while the server runs
    std::string initiator_port;  ///< for reservations: "iqn…,i,0x<isid>" (iSCSI transport ID, SPC-4 7.6.4.6)
};

/// The largest CDB: variable length ones (7Fh) reach 260 bytes.
inline constexpr std::size_t max_cdb_bytes = 260;

/// Calls back after a while, on any thread. The SCSI layer has no clock of its own.
using Rest = std::function<void(std::chrono::milliseconds, std::function<void()>)>;

class LogicalUnit;
struct CommandEntry;

/// One piece of an EXTENDED COPY, checked.
struct CopySegment {
    std::shared_ptr<LogicalUnit> from, to;
    std::uint64_t from_bytes = 0, to_bytes = 0, length_bytes = 0;
};

class Command {
 public:
    std::span<const std::byte> cdb;  ///< 16 bytes, or more with an extended-CDB AHS
    const ITNexus* nexus = nullptr;
    std::uint64_t lun = 0;  ///< the flat LUN number
    /// data_in: room for min(Transfer::length_bytes, expected length); data_out: what the initiator sent, complete. Stays in place until
    /// finished.
    MutableByteSpan data;
    /// What the initiator announced to send; nothing: the transport does not know.
    std::optional<std::uint64_t> announced_out;
    /// data_in only: how many bytes of `data` the unit has filled. Never above data.size().
    std::uint64_t data_in_bytes = 0;

    Status status = Status::good;
    Sense sense;                         ///< meaningful with check_condition
    std::vector<std::string> preempted;  ///< PREEMPT AND ABORT: initiator ports whose commands to this unit are to be aborted
    bool descriptor_sense = false;       ///< the form in which the unit's initiators want it (control mode page, D_SENSE)

    /// Called exactly once when execute() returned pending, on any thread: do nothing there but hand over to your own executor.
    virtual void finished() noexcept = 0;

    void fail(SenseKey key, std::uint16_t asc_ascq) noexcept {
        status = Status::check_condition;
        sense = Sense{.key = key, .asc_ascq = asc_ascq};
        data_in_bytes = 0;
    }
    /// CHECK CONDITION, ILLEGAL REQUEST, INVALID FIELD IN CDB, pointing at the byte (SPC-4 4.5.2.4.2).
    void fail_field(std::uint16_t cdb_byte, std::uint16_t asc_ascq = 0x2400) noexcept {
        fail(SenseKey::illegal_request, asc_ascq);
        sense.specific = 0xc00000u | cdb_byte;
    }
    /// For a command object that serves another command.
    void reset() noexcept {
        data_in_bytes = 0;
        status = Status::good;
        sense = {};
        data = {};
        preempted.clear();
        work_.unit.reset();
        work_.segments.clear();
        if (work_.scratch.capacity() > max_kept_scratch_bytes) work_.scratch = {};
    }

 protected:
    Command() noexcept { work_.command = this; }
    ~Command() = default;
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

 private:
    friend class LogicalUnit;
    friend class LunMap;

    /// What an idle command keeps: the end of a block that a READ had no room for.
    static constexpr std::size_t max_kept_scratch_bytes = 4096;

    /// The unit's own notes while it works on the command; here, so that no command allocates. Only `scratch` does, and only for rare
    /// commands.
    struct Work final : storage::IoRequest {
        void completed() noexcept override;

        Command* command = nullptr;
        const CommandEntry* entry = nullptr;  // nullptr: no such command
        std::shared_ptr<LogicalUnit> unit;    // empty: the LUN is absent
        std::array<iovec, 2> pieces{};
        std::uint32_t step = 0;  // commands of several device requests: which one is under way
        std::vector<std::byte> scratch;
        std::vector<storage::Extent> found;
        std::vector<CopySegment> segments;          // EXTENDED COPY
        storage::BlockDevice* elsewhere = nullptr;  // the next request is not for the unit's own device
    };
    Work work_;
};

}  // namespace diskless::scsi
