// ImageStore: images' versions and imports (boot/image.hpp).
#pragma once

#include "boot/image.hpp"
#include "db/database.hpp"

namespace diskless::db {

class ImageStore final : public boot::ImageStore {
 public:
    static constexpr std::int64_t max_imports_over = 100;  ///< imports that are over, remembered for people to see

    /// `database` outlives the store.
    explicit ImageStore(Database& database) : database_{&database} {}

    [[nodiscard]] std::vector<boot::ImageRecord> images() override;
    void save(const boot::ImageRecord& image, const boot::ImportJob* import) override;
    bool retire(const std::string& image, unsigned number) override;
    [[nodiscard]] std::vector<boot::ImportJob> imports() override;
    std::uint64_t save(const boot::ImportJob& import) override;

 private:
    Database* database_;
};

}  // namespace diskless::db
