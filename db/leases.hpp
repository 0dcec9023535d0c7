// LeaseStore: DHCP's leases on disk. save() completes after the commit, and all that wait share one (boot/lease_store.hpp).
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "boot/lease_store.hpp"
#include "db/database.hpp"

namespace diskless::db {

class LeaseStore final : public boot::LeaseStore {
 public:
    /// `database` outlives the store. The store may end while saves wait: they are completed all the same.
    explicit LeaseStore(Database& database) : database_{&database} {}

    void save(std::vector<boot::Lease> leases, Saved saved) override;

    /// Every lease there is, released, declined and expired ones too, in no order. Waits for the disk: at start only.
    [[nodiscard]] std::vector<boot::Lease> load_at_start();

    /// From any thread; completed like save(). An address without lease is no error.
    void erase(std::vector<Ipv4Address> addresses, Saved erased);
    /// Forgets what expired before `limit`: an address is remembered for its last holder for a while, not for ever.
    void erase_expired(boot::Seconds limit, Saved erased);

 private:
    void submit(Database::Job job, Saved saved);

    Database* database_;
    std::shared_ptr<std::atomic<bool>> failing_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace diskless::db
