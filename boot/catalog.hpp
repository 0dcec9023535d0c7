// Catalog: one immutable picture of all clients, groups, images and targets, indexed for the packet paths. A change makes a new Catalog.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "boot/client.hpp"

namespace diskless::boot {

/// What the store holds, not yet indexed.
struct CatalogData {
    std::vector<Image> images;
    std::vector<Group> groups;
    std::vector<ClientEntry> clients;
    std::vector<Target> targets;
    std::vector<Tool> tools;
    std::map<std::string, std::string> next_boots;  ///< client -> a boot method or a tool, for one boot
    friend bool operator==(const CatalogData&, const CatalogData&) = default;
};

class Catalog {
 public:
    Catalog() = default;
    /// Names, MACs and addresses are unique in `data`: configuration and store have checked.
    explicit Catalog(CatalogData data);

    // nullptr: nobody. The pointers live as long as the Catalog.
    [[nodiscard]] const Client* by_mac(MacAddress mac) const noexcept;
    [[nodiscard]] const Client* by_uuid(const Uuid& uuid) const noexcept;
    [[nodiscard]] const Client* by_address(Ipv4Address address) const noexcept;
    [[nodiscard]] const Client* by_name(std::string_view name) const noexcept;
    [[nodiscard]] const Target* target(std::string_view name) const noexcept;
    [[nodiscard]] const Image* image(std::string_view name) const noexcept;
    [[nodiscard]] const Group* group(std::string_view name) const noexcept;

    [[nodiscard]] const Tool* tool(std::string_view name) const noexcept;

    [[nodiscard]] const std::vector<Client>& clients() const noexcept { return clients_; }
    [[nodiscard]] const std::vector<Target>& targets() const noexcept { return data_.targets; }
    [[nodiscard]] const CatalogData& data() const noexcept { return data_; }

 private:
    CatalogData data_;
    std::vector<Client> clients_;
    std::unordered_map<MacAddress, std::size_t> by_mac_;
    std::unordered_map<Ipv4Address, std::size_t> by_address_;
};

/// The catalog of this moment. Readers take a share of it and keep it for one packet or one login; a reload replaces it under them. Any
/// thread.
class CurrentCatalog {
 public:
    explicit CurrentCatalog(std::shared_ptr<const Catalog> catalog) : catalog_{std::move(catalog)} {}

    [[nodiscard]] std::shared_ptr<const Catalog> get() const {
        const std::lock_guard lock{mutex_};
        return catalog_;
    }
    void replace(std::shared_ptr<const Catalog> catalog) {
        const std::lock_guard lock{mutex_};
        catalog_ = std::move(catalog);
    }

 private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Catalog> catalog_;
};

}  // namespace diskless::boot
