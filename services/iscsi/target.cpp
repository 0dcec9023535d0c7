#include "services/iscsi/target.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace diskless::iscsi {

std::shared_ptr<scsi::LogicalUnit> UnitShelf::unit(const std::string& target, const Lun& lun) {
    const scsi::Identity identity{
        .target_name = target, .lun = lun.number, .description = lun.description, .removable = lun.removable, .sanitize = lun.sanitize};
    const std::lock_guard lock{mutex_};
    Place& place = places_[{target, lun.number}];
    if (auto unit = place.unit.lock(); unit && &unit->device() == lun.device.get() && unit->identity() == identity) return unit;
    if (!place.book) place.book = open_book(target, lun.number);
    auto unit = std::make_shared<scsi::LogicalUnit>(lun.device, identity, place.book);
    unit->set_rest(rest_);
    place.unit = unit;
    return unit;
}

std::shared_ptr<scsi::ReservationBook> UnitShelf::open_book(const std::string& target, std::uint16_t lun) {
    scsi::PersistentState restored;
    if (const auto stored = store_.load(target, lun)) restored = scsi::parse_persistent_state(*stored).value_or(scsi::PersistentState{});
    auto save = [this, target, lun](const scsi::PersistentState& state, scsi::ReservationBook::Saved saved) {
        store_.save(target, lun, state.persists ? scsi::print_persistent_state(state) : std::string{}, std::move(saved));
    };
    return std::make_shared<scsi::ReservationBook>(std::move(restored), std::move(save));
}

OpenTarget::OpenTarget(TargetRef ref, const std::vector<Lun>& luns, UnitShelf& shelf)
    : iqn_{ref.iqn}, shelf_{shelf}, units_{units_for(ref, luns)} {
    ref_ = std::move(ref);
}

TargetRef OpenTarget::ref() const {
    const std::lock_guard lock{mutex_};
    return ref_;
}

scsi::LunMap::Units OpenTarget::units_for(const TargetRef& ref, const std::vector<Lun>& luns) const {
    scsi::LunMap::Units units;
    for (const Lun& lun : luns) units.push_back(shelf_.unit(ref.iqn, lun));
    return units;
}

void OpenTarget::replace(TargetRef ref, const std::vector<Lun>& luns) {
    scsi::LunMap::Units units = units_for(ref, luns);
    {
        const std::lock_guard lock{mutex_};
        ref_ = std::move(ref);
    }
    units_.replace(std::move(units));
}

bool OpenTarget::serves(const std::vector<Lun>& luns) {
    return std::ranges::all_of(luns, [this](const Lun& lun) {
        const auto unit = units_.find(lun.number);
        return unit != nullptr && &unit->device() == lun.device.get();
    });
}

TargetRegistry::TargetRegistry(const asio::any_io_executor& executor, LunProvider& provider, boot::ReservationStore& reservations)
    : strand_{asio::make_strand(executor)}, provider_{provider}, shelf_{reservations, rest()} {}

scsi::Rest TargetRegistry::rest() const {
    return [strand = strand_](std::chrono::milliseconds how_long, std::function<void()> go_on) {
        const auto clock = std::make_shared<asio::steady_timer>(strand, how_long);
        clock->async_wait([clock, go_on = std::move(go_on)](error_code) { go_on(); });
    };
}

asio::awaitable<TargetRegistry::Opened> TargetRegistry::open(TargetRef target, bool boots) {
    co_return co_await asio::co_spawn(strand_, open_here(std::move(target), boots), asio::use_awaitable);
}

asio::awaitable<TargetRegistry::Opened> TargetRegistry::open_here(TargetRef target, bool boots) {
    const std::string iqn = target.iqn;
    while (opening_.contains(iqn)) {
        const auto ended = opening_[iqn];
        co_await ended->async_wait(nothrow_await);
    }
    const auto ended = std::make_shared<asio::steady_timer>(strand_, asio::steady_timer::time_point::max());
    opening_.emplace(iqn, ended);
    auto luns = co_await open_disks(target, boots);
    opening_.erase(iqn);
    ended->cancel();
    if (!luns) co_return std::unexpected{std::move(luns.error())};
    std::shared_ptr<OpenTarget> open;
    {
        const std::lock_guard lock{mutex_};
        open = targets_[iqn].lock();
    }
    if (open) {
        if (!open->serves(*luns)) open->replace(std::move(target), *luns);
        co_return open;
    }
    open = std::make_shared<OpenTarget>(std::move(target), *luns, shelf_);
    const std::lock_guard lock{mutex_};
    std::erase_if(targets_, [](const auto& entry) { return entry.second.expired(); });
    targets_[iqn] = open;
    co_return open;
}

asio::awaitable<std::expected<std::vector<Lun>, std::string>> TargetRegistry::open_disks(TargetRef target, bool boots) {
    try {
        co_return co_await provider_.open(target, boots);
    } catch (const std::exception& e) {
        co_return std::unexpected{std::string{e.what()}};
    }
}

std::vector<std::shared_ptr<OpenTarget>> TargetRegistry::in_use() const {
    const std::lock_guard lock{mutex_};
    std::vector<std::shared_ptr<OpenTarget>> open;
    for (const auto& [iqn, target] : targets_) {
        if (auto live = target.lock()) open.push_back(std::move(live));
    }
    return open;
}

asio::awaitable<std::string> TargetRegistry::refresh(std::shared_ptr<OpenTarget> target, TargetRef ref) {
    auto luns = co_await open_disks(ref, false);
    if (!luns) co_return std::move(luns.error());
    if (ref.disks != target->ref().disks || !target->serves(*luns)) target->replace(std::move(ref), *luns);
    co_return std::string{};
}

}  // namespace diskless::iscsi
