// LogicalUnit: a block device as a SCSI disk. Any thread; commands of several sessions at once.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "services/iscsi/scsi/attentions.hpp"
#include "services/iscsi/scsi/cdb.hpp"
#include "services/iscsi/scsi/command.hpp"
#include "services/iscsi/scsi/copy.hpp"
#include "services/iscsi/scsi/gate.hpp"
#include "services/iscsi/scsi/inquiry.hpp"
#include "services/iscsi/scsi/medium.hpp"
#include "services/iscsi/scsi/mode_pages.hpp"
#include "services/iscsi/scsi/reservation_book.hpp"

namespace diskless::scsi {

class LogicalUnit : public std::enable_shared_from_this<LogicalUnit> {
 public:
    /// `book`: the reservations, where they outlive this object.
    LogicalUnit(std::shared_ptr<storage::BlockDevice> device, Identity identity,
                std::shared_ptr<ReservationBook> book = std::make_shared<ReservationBook>());

    [[nodiscard]] const Identity& identity() const noexcept { return identity_; }
    [[nodiscard]] const storage::Geometry& geometry() const noexcept { return device_->geometry(); }
    [[nodiscard]] storage::BlockDevice& device() noexcept { return *device_; }

    /// How much data the command will move; nothing: the command has ended, status and sense are set.
    [[nodiscard]] std::optional<Transfer> examine(Command& command);
    /// After examine(), with the data in place.
    [[nodiscard]] storage::Started execute(Command& command);

    /// How operations that take long rest between their pieces; without it they do not. Before the first command.
    void set_rest(Rest rest) { rest_ = std::move(rest); }
    /// The command, which is executing, is aborted: what can go on without it lets it end now.
    void let_go(Command& command);

    /// Whether an EXTENDED COPY of this nexus may read or write here; otherwise the command has failed.
    [[nodiscard]] bool admits_copy(Command& command, bool writes);

    [[nodiscard]] Attentions& attentions() noexcept { return attentions_; }
    void attach(const ITNexus& nexus);
    void detach(const ITNexus& nexus);
    /// LOGICAL UNIT RESET and target resets: mode parameters return to defaults, reservations of SPC-2 and preventions of medium removal
    /// end, every nexus is told.
    void reset();

 private:
    friend struct Command::Work;
    friend class Sanitizer;

    /// Commands of the table that only some units have.
    [[nodiscard]] bool has(const CommandEntry& entry) const noexcept;
    [[nodiscard]] bool refuses(Command& command, const CommandEntry& entry);
    [[nodiscard]] std::optional<Transfer> transfer_of(Command& command, const CommandEntry& entry);
    [[nodiscard]] bool reports_attention(Command& command);
    [[nodiscard]] std::optional<Transfer> examine_blocks(Command& command, const CommandEntry& entry);

    // Commands on blocks pass the gate, and are then performed request by request.
    [[nodiscard]] storage::Started start(Command& command);
    [[nodiscard]] storage::Started perform(Command& command);
    void leave(Command& command);
    [[nodiscard]] storage::BlockDevice& device_of(Command& command) noexcept;
    /// Prepares the command's next device request. True: there is none, the command has ended.
    [[nodiscard]] bool advance(Command& command);
    // What follows for each kind of command (block_io.cpp). `work.step` counts the requests that have been performed.
    [[nodiscard]] bool next_read(Command& command);
    [[nodiscard]] bool next_write(Command& command);
    [[nodiscard]] bool next_verify(Command& command);
    [[nodiscard]] bool next_medium_read(Command& command, std::uint64_t offset_bytes, std::uint64_t length_bytes);
    [[nodiscard]] bool next_prefetch(Command& command);
    [[nodiscard]] bool next_compare_and_write(Command& command);
    [[nodiscard]] bool next_or_write(Command& command);
    [[nodiscard]] bool next_lba_status(Command& command);
    [[nodiscard]] bool next_copy(Command& command);
    void note_copy(const Command& command);
    [[nodiscard]] bool next_write_same(Command& command);
    [[nodiscard]] bool next_unmap(Command& command);
    [[nodiscard]] bool next_flush(Command& command);
    [[nodiscard]] std::uint64_t bytes_of(std::uint64_t blocks) const noexcept { return blocks * device_->geometry().logical_block_bytes; }

    // What is not on blocks (unit_control.cpp).
    void request_sense(Command& command);
    void select_mode(Command& command);
    void start_stop(Command& command);
    void prevent_allow(Command& command);
    void reserve(Command& command);
    void release(Command& command);
    [[nodiscard]] storage::Started persistent_reserve_out(Command& command);
    [[nodiscard]] storage::Started sanitize(Command& command);
    [[nodiscard]] ModeState mode() const;

    std::shared_ptr<storage::BlockDevice> device_;
    Identity identity_;
    std::shared_ptr<ReservationBook> book_;
    Attentions attentions_;
    Gate gate_;
    mutable std::mutex mutex_;  // of mode_, copies_, and of medium_'s preventions
    ModeState mode_;
    Medium medium_;
    CopyResults copies_;
    std::atomic<bool> write_protected_{false};
    std::atomic<bool> descriptor_sense_{false};
    Rest rest_;
    Command* waits_for_sanitizer_ = nullptr;                // under mutex_
    std::atomic<std::uint32_t> sanitized_{not_sanitizing};  // of 65536, while a sanitize operation runs
    static constexpr std::uint32_t not_sanitizing = 0xffffffff;
};

}  // namespace diskless::scsi
