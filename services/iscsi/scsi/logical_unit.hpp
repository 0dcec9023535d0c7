// LogicalUnit: a block device as a SCSI disk. Any thread; commands of several sessions at once.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "services/iscsi/scsi/cdb.hpp"
#include "services/iscsi/scsi/command.hpp"
#include "services/iscsi/scsi/inquiry.hpp"
#include "services/iscsi/scsi/mode_pages.hpp"

namespace diskless::scsi {

class LogicalUnit : public std::enable_shared_from_this<LogicalUnit> {
 public:
    LogicalUnit(std::shared_ptr<storage::BlockDevice> device, Identity identity);

    [[nodiscard]] const Identity& identity() const noexcept { return identity_; }
    [[nodiscard]] const storage::Geometry& geometry() const noexcept { return device_->geometry(); }
    [[nodiscard]] storage::BlockDevice& device() noexcept { return *device_; }

    /// How much data the command will move; nothing: the command has ended, status and sense are set.
    [[nodiscard]] std::optional<Transfer> examine(Command& command);
    /// After examine(), with the data in place.
    [[nodiscard]] storage::Started execute(Command& command);

    /// A unit attention for one nexus, or for all but one (nullptr: for all). Reported once each, oldest first (SAM-5 5.14).
    void post_attention(std::uint64_t nexus, std::uint16_t asc_ascq);
    /// What a nexus need no longer be told, because it has just found out.
    void withdraw_attention(const ITNexus& nexus, std::uint16_t asc_ascq);
    void post_attention_to_others(const ITNexus* except, std::uint16_t asc_ascq);
    void attach(const ITNexus& nexus);
    void detach(const ITNexus& nexus);
    /// LOGICAL UNIT RESET and target resets: mode parameters return to defaults, every other nexus is told.
    void reset(const ITNexus* by);

    /// Attentions kept per nexus; of more, the newest are dropped: 29/00 already says "look at everything again".
    static constexpr std::size_t max_attentions = 8;

 private:
    friend struct Command::Work;

    [[nodiscard]] bool reports_attention(Command& command);
    [[nodiscard]] std::optional<std::uint16_t> take_attention(std::uint64_t nexus);
    [[nodiscard]] std::optional<Transfer> examine_blocks(Command& command, const CommandEntry& entry);
    [[nodiscard]] storage::Started start(Command& command);
    /// Prepares the command's next device request. True: there is none, the command has ended.
    [[nodiscard]] bool advance(Command& command);
    // What follows for each kind of command (block_io.cpp). `work.step` counts the requests that have been performed.
    [[nodiscard]] bool next_read(Command& command);
    [[nodiscard]] bool next_write(Command& command);
    [[nodiscard]] bool next_verify(Command& command);
    [[nodiscard]] bool next_write_same(Command& command);
    [[nodiscard]] bool next_unmap(Command& command);
    [[nodiscard]] bool next_flush(Command& command);
    [[nodiscard]] std::uint64_t bytes_of(std::uint64_t blocks) const noexcept { return blocks * device_->geometry().logical_block_bytes; }
    void request_sense(Command& command);
    [[nodiscard]] ModeState mode() const;

    std::shared_ptr<storage::BlockDevice> device_;
    Identity identity_;
    mutable std::mutex mutex_;  // of what follows; the hot path only reads the two atomics
    std::map<std::uint64_t, std::vector<std::uint16_t>> attentions_;
    ModeState mode_;
    std::atomic<std::size_t> pending_attentions_{0};
    std::atomic<bool> write_protected_{false};
};

}  // namespace diskless::scsi
