// What leaves a connection: a queue of things to send, and the batch of PDUs that goes out in one gather write.
// A queue entry becomes PDUs only when a batch has room for them: sequence numbers are those of the moment, and a peer that does not read
// costs no memory. Pure: a batch is a list of iovecs, whoever owns the socket sends it.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "common/bytes.hpp"
#include "services/iscsi/wire/pdu.hpp"

namespace diskless::iscsi {

/// An entry of the queue: a task with data, status or R2Ts to send, or a control PDU.
struct Outgoing {
    enum class Kind : std::uint8_t { task, control };
    explicit Outgoing(Kind k) noexcept : kind{k} {}

    Kind kind;
    bool queued = false;
    Outgoing* next = nullptr;
};

/// First in, first out; intrusive, owns nothing.
class OutgoingQueue {
 public:
    void push(Outgoing& entry) noexcept {
        entry.queued = true;
        entry.next = nullptr;
        (last_ == nullptr ? first_ : last_->next) = &entry;
        last_ = &entry;
    }
    void pop() noexcept {
        Outgoing* entry = first_;
        first_ = entry->next;
        if (first_ == nullptr) last_ = nullptr;
        entry->queued = false;
        entry->next = nullptr;
    }
    [[nodiscard]] Outgoing* front() const noexcept { return first_; }
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

 private:
    Outgoing* first_ = nullptr;
    Outgoing* last_ = nullptr;
};

/// PDUs in a fixed arena and the iovecs that lead through them. The data stays where it is until the batch has left.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): only what add() wrote is read
class Batch {
 public:
    static constexpr std::size_t max_pdus = 64;
    /// Data of one batch: enough for a good gather write, little enough to stay fair.
    static constexpr std::size_t max_bytes = std::size_t{1} << 20;

    [[nodiscard]] bool full() const noexcept { return pdus_ == max_pdus || bytes_ >= max_bytes; }
    [[nodiscard]] bool empty() const noexcept { return pdus_ == 0; }

    /// Appends a PDU; the header's length field is set here. `release`, if any, is handed back once the batch has left.
    void add(wire::Bhs& bhs, ByteSpan data, wire::Digests digests, Outgoing* release) noexcept;

    /// What is still to be written.
    [[nodiscard]] std::span<iovec> pieces() noexcept { return std::span{iovecs_}.subspan(first_iovec_, iovec_count_ - first_iovec_); }
    /// So many bytes have been written; true when that was all.
    bool advance(std::size_t bytes) noexcept;

    /// The entries whose last byte was in this batch. Valid until clear().
    [[nodiscard]] std::span<Outgoing* const> releases() const noexcept { return std::span{releases_}.first(release_count_); }
    void clear() noexcept { pdus_ = bytes_ = iovec_count_ = first_iovec_ = release_count_ = 0; }

 private:
    struct Slot {
        std::array<std::byte, wire::bhs_bytes + wire::digest_bytes> header;
        std::array<std::byte, 4 + wire::digest_bytes> trailer;
    };
    void add_piece(const std::byte* bytes, std::size_t size) noexcept;

    std::size_t pdus_ = 0, bytes_ = 0, iovec_count_ = 0, first_iovec_ = 0, release_count_ = 0;
    std::array<Slot, max_pdus> slots_;
    std::array<iovec, max_pdus * 3> iovecs_;
    std::array<Outgoing*, max_pdus> releases_;
};

}  // namespace diskless::iscsi
