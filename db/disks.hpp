// DiskStore: disks with a file of their own, and their snapshots (boot/image.hpp).
#pragma once

#include "boot/image.hpp"
#include "db/database.hpp"

namespace diskless::db {

class DiskStore final : public boot::DiskStore {
 public:
    /// `database` outlives the store.
    explicit DiskStore(Database& database) : database_{&database} {}

    [[nodiscard]] std::vector<boot::DiskRecord> disks() override;
    [[nodiscard]] std::vector<boot::DiskRecord> disks_of_version(const std::string& image, unsigned number) override;
    void put(const boot::DiskRecord& disk) override;
    void remove_disk(const std::string& owner, std::uint16_t lun) override;

    [[nodiscard]] std::vector<boot::SnapshotRecord> snapshots(const std::string& owner, std::uint16_t lun) override;
    void put(const boot::SnapshotRecord& snapshot) override;
    void remove_snapshot(const std::string& owner, std::uint16_t lun, const std::string& name) override;

 private:
    Database* database_;
};

}  // namespace diskless::db
