// BlockDevice: the one narrow interface between whoever wants blocks (SCSI) and whoever has them (raw file, memory, later qcow2 overlays).
// Asynchronous without a framework: a request either completes inside start(), or later by a call of its completed(). No Asio here, so that
// SCSI stays pure; storage/await.hpp turns a request into something a coroutine can co_await on its own executor.
#pragma once

#include <sys/uio.h>

#include <boost/system/error_code.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "common/bytes.hpp"

namespace diskless::storage {

/// What a device is. Constant while the device is open.
struct Geometry {
    std::uint64_t size_bytes = 0;               ///< a multiple of logical_block_bytes
    std::uint32_t logical_block_bytes = 512;    ///< 512 or 4096
    std::uint32_t physical_block_bytes = 4096;  ///< a power of two, at least logical_block_bytes
    bool read_only = false;
    bool can_discard = false;  ///< discard gives space back; discarded blocks read as zeros
};

enum class IoKind : std::uint8_t {
    read,
    write,
    write_zeroes,  ///< the range reads as zeros afterwards; space is given back only with may_discard
    discard,       ///< the range reads as zeros afterwards and its space is given back where the device can
    allocation,    ///< nothing changes: says which parts of the range take space (`extents`)
    flush,         ///< everything that completed before is on stable storage afterwards
};

/// A stretch of a device that takes space, or one that does not and reads as zeros.
struct Extent {
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;
    bool allocated = true;
    friend bool operator==(const Extent&, const Extent&) = default;
};

/// One operation. Owned by the caller; it and its buffers must live and stay in place until it has completed.
/// Offsets and lengths are bytes, multiples of the logical block size, and inside the device: the caller has checked.
class IoRequest {
 public:
    IoKind kind = IoKind::read;
    bool force_unit_access = false;  ///< writes: on stable storage before completion (FUA)
    bool may_discard = false;        ///< write_zeroes: deallocating is welcome
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;   ///< the sum of `buffers` for read and write; 0 for flush
    std::span<const iovec> buffers;   ///< read: filled; write: the data
    std::span<Extent> extents;        ///< allocation: room for the answer, which begins at offset_bytes and may end before the range does
    std::size_t extent_count = 0;     ///< how much of it has been filled
    boost::system::error_code error;  ///< the outcome, valid after completion. ENOSPC, EIO, EROFS … from the system category

    IoRequest* next = nullptr;  ///< for whichever queue currently holds the request
    void* device = nullptr;     ///< for the device that holds the request

    /// Called exactly once for a pending request, on a thread of the device's choosing: do nothing there but hand over to your own
    /// executor.
    virtual void completed() noexcept = 0;

 protected:
    IoRequest() = default;
    IoRequest(const IoRequest&) = default;
    IoRequest& operator=(const IoRequest&) = default;
    ~IoRequest() = default;
};

enum class Started : bool {
    completed,  ///< done before start() returned; completed() will not be called
    pending,    ///< completed() will be called
};

/// Bytes of a device in place, no copy. Valid while this object lives; they may change when somebody writes there.
struct Borrowed {
    ByteSpan bytes;
    std::shared_ptr<const void> owner;
};

class BlockDevice {
 public:
    virtual ~BlockDevice() = default;
    BlockDevice(const BlockDevice&) = delete;
    BlockDevice& operator=(const BlockDevice&) = delete;

    [[nodiscard]] virtual const Geometry& geometry() const noexcept = 0;
    /// For log lines and the store: a path, or what the device is.
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

    /// Starts `request`. From any thread, any number at once; requests that overlap may complete in any order.
    /// Never blocks on storage: what the page cache has is answered at once, everything else is pending.
    [[nodiscard]] virtual Started start(IoRequest& request) noexcept = 0;

    /// The bytes themselves, where the device has them in memory anyway; nothing means: use a read.
    [[nodiscard]] virtual std::optional<Borrowed> borrow(std::uint64_t offset_bytes, std::size_t length_bytes) noexcept {
        (void)offset_bytes;
        (void)length_bytes;
        return std::nullopt;
    }

 protected:
    BlockDevice() = default;
};

}  // namespace diskless::storage
