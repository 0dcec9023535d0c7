// CatalogStore: the clients, groups, images and targets that survive the process. Packets are answered from the boot::Catalog made of what
// it returns, never from here.
#pragma once

#include <string>

#include "boot/catalog.hpp"
#include "common/asio.hpp"
#include "db/database.hpp"

namespace diskless::db {

class CatalogStore {
 public:
    /// `database` outlives the store and whatever it was asked.
    explicit CatalogStore(Database& database) : database_{&database} {}

    /// Makes the store agree with the configuration (merge.hpp says how) and returns all there is. What a declaration took from an entry
    /// made at run time is logged. Waits for the disk: at start only.
    [[nodiscard]] boot::CatalogData synchronise_at_start(boot::CatalogData declared);
    /// The same while serving: on reload.
    [[nodiscard]] asio::awaitable<boot::CatalogData> synchronise(boot::CatalogData declared);

    /// All there is. Waits for the disk: not on a thread that serves.
    [[nodiscard]] boot::CatalogData load();

    struct Enrolled {
        boot::ClientEntry client;  ///< as it was kept: under a free name; or the one that already has one of its MACs
    };
    /// A machine nobody declared becomes a client. Throws StoreError when it cannot be kept.
    [[nodiscard]] asio::awaitable<Enrolled> enroll(boot::ClientEntry client);

    /// A boot method or a tool for one boot of a client; empty: as always. Waits for the disk: not on a thread that serves.
    void set_next_boot(const std::string& client, const std::string& choice);
    /// Whether it was there: it is used up by this call alone.
    [[nodiscard]] asio::awaitable<bool> take_next_boot(std::string client, std::string choice);

 private:
    Database* database_;
};

}  // namespace diskless::db
