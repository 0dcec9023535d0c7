// ReservationBook: the reservations of one logical unit, for all sessions that use it and beyond: registrations outlive sessions, and with
// APTPL the server. Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include "services/iscsi/scsi/reservations.hpp"

namespace diskless::scsi {

class ReservationBook {
 public:
    using Saved = std::function<void(bool durable)>;
    /// Keeps the state where it survives the server (nothing of it where `persists` is off), then calls `saved`, on any thread.
    using Save = std::function<void(const PersistentState& state, Saved saved)>;

    ReservationBook() = default;
    ReservationBook(PersistentState restored, Save save) : save_{std::move(save)} {
        reservations_.restore(std::move(restored));
        any_ = reservations_.any() || !reservations_.persistent().registrations.empty();
    }

    /// Nothing is reserved or registered: nothing can conflict. The hot path's one question.
    [[nodiscard]] bool empty() const noexcept { return !any_.load(std::memory_order_acquire); }

    /// Calls `f(reservations)` alone.
    template<class F>
    auto with(F f) {
        const std::lock_guard lock{mutex_};
        struct Settle {
            ReservationBook& book;
            ~Settle() { book.any_ = book.reservations_.any() || !book.reservations_.persistent().registrations.empty(); }
        } settle{*this};
        return f(reservations_);
    }
    /// False: there is nowhere to keep it, or no need to; `saved` is not called.
    [[nodiscard]] bool save(const PersistentState& state, Saved saved) {
        if (!save_) return false;
        save_(state, std::move(saved));
        return true;
    }

 private:
    std::mutex mutex_;
    Reservations reservations_;
    std::atomic<bool> any_{false};
    Save save_;
};

}  // namespace diskless::scsi
