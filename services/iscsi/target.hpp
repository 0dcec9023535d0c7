// Targets that are in use: the logical units of each are opened once, shared by its sessions, and closed with the last of them.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "boot/reservation_store.hpp"
#include "services/iscsi/lun_provider.hpp"
#include "services/iscsi/scsi/lun_map.hpp"

namespace diskless::iscsi {

/// What there is of a LUN beyond the sessions of its target: registrations outlive them (with APTPL the server too), and so does a unit
/// that is busy by itself.
class UnitShelf {
 public:
    UnitShelf(boot::ReservationStore& store, scsi::Rest rest) : store_{store}, rest_{std::move(rest)} {}
    [[nodiscard]] std::shared_ptr<scsi::LogicalUnit> unit(const std::string& target, const Lun& lun);

 private:
    struct Place {
        std::shared_ptr<scsi::ReservationBook> book;
        std::weak_ptr<scsi::LogicalUnit> unit;
    };
    [[nodiscard]] std::shared_ptr<scsi::ReservationBook> open_book(const std::string& target, std::uint16_t lun);

    boot::ReservationStore& store_;
    scsi::Rest rest_;
    std::mutex mutex_;
    std::map<std::pair<std::string, std::uint16_t>, Place> places_;
};

/// A target with its disks open. Held by its sessions.
class OpenTarget {
 public:
    OpenTarget(TargetRef ref, const std::vector<Lun>& luns, UnitShelf& shelf);

    [[nodiscard]] const std::string& iqn() const noexcept { return iqn_; }
    [[nodiscard]] scsi::LunMap& units() noexcept { return units_; }
    [[nodiscard]] TargetRef ref() const;

    /// Other disks than before: units whose device is the same stay as they are, and every session learns of the change.
    void replace(TargetRef ref, const std::vector<Lun>& luns);
    /// Whether these are the devices it has.
    [[nodiscard]] bool serves(const std::vector<Lun>& luns);

 private:
    [[nodiscard]] scsi::LunMap::Units units_for(const TargetRef& ref, const std::vector<Lun>& luns) const;

    const std::string iqn_;
    UnitShelf& shelf_;
    mutable std::mutex mutex_;
    TargetRef ref_;
    scsi::LunMap units_;
};

class TargetRegistry {
 public:
    TargetRegistry(const asio::any_io_executor& executor, LunProvider& provider, boot::ReservationStore& reservations);

    /// For a login, from any strand; two at once share the target. `boots`: it is firmware's. The error is for the log.
    [[nodiscard]] asio::awaitable<std::expected<std::shared_ptr<OpenTarget>, std::string>> open(TargetRef target, bool boots);
    /// The targets in use now.
    [[nodiscard]] std::vector<std::shared_ptr<OpenTarget>> in_use() const;
    /// Opens what the target has become (see OpenTarget::replace). Nothing changes when that fails; the error is for the log.
    [[nodiscard]] asio::awaitable<std::string> refresh(std::shared_ptr<OpenTarget> target, TargetRef ref);

 private:
    using Opened = std::expected<std::shared_ptr<OpenTarget>, std::string>;
    [[nodiscard]] asio::awaitable<Opened> open_here(TargetRef target, bool boots);
    /// The provider's answer; an exception of its becomes one.
    [[nodiscard]] asio::awaitable<std::expected<std::vector<Lun>, std::string>> open_disks(TargetRef target, bool boots);

    [[nodiscard]] scsi::Rest rest() const;

    asio::strand<asio::any_io_executor> strand_;
    LunProvider& provider_;
    UnitShelf shelf_;
    mutable std::mutex mutex_;  // of the map; whoever opens does it on the strand
    std::map<std::string, std::weak_ptr<OpenTarget>> targets_;
    std::map<std::string, std::shared_ptr<asio::steady_timer>> opening_;  // on the strand only; cancelled when the opening has ended
};

}  // namespace diskless::iscsi
