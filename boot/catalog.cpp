#include "boot/catalog.hpp"

#include <algorithm>

namespace diskless::boot {
namespace {

template<class Container>
auto find_named(const Container& container, std::string_view name) noexcept -> const typename Container::value_type* {
    const auto found = std::ranges::find(container, name, &Container::value_type::name);
    return found == container.end() ? nullptr : &*found;
}

}  // namespace

Catalog::Catalog(CatalogData data) : data_{std::move(data)} {
    clients_.reserve(data_.clients.size());
    for (const ClientEntry& entry : data_.clients) {
        const std::size_t index = clients_.size();
        Client& client = clients_.emplace_back(resolve(entry, group(entry.group)));
        if (const auto next = data_.next_boots.find(client.name); next != data_.next_boots.end()) choose_next_boot(client, next->second);
        for (const MacAddress& mac : client.macs) by_mac_.emplace(mac, index);
        if (client.address) by_address_.emplace(*client.address, index);
    }
}

const Client* Catalog::by_mac(MacAddress mac) const noexcept {
    const auto found = by_mac_.find(mac);
    return found == by_mac_.end() ? nullptr : &clients_[found->second];
}

const Client* Catalog::by_address(Ipv4Address address) const noexcept {
    const auto found = by_address_.find(address);
    return found == by_address_.end() ? nullptr : &clients_[found->second];
}

const Client* Catalog::by_uuid(const Uuid& uuid) const noexcept {
    if (uuid.is_blank()) return nullptr;
    const auto found = std::ranges::find(clients_, std::optional{uuid}, &Client::uuid);
    return found == clients_.end() ? nullptr : &*found;
}

const Client* Catalog::by_name(std::string_view name) const noexcept { return find_named(clients_, name); }
const Target* Catalog::target(std::string_view name) const noexcept { return find_named(data_.targets, name); }
const Image* Catalog::image(std::string_view name) const noexcept { return find_named(data_.images, name); }
const Tool* Catalog::tool(std::string_view name) const noexcept { return find_named(data_.tools, name); }
const Group* Catalog::group(std::string_view name) const noexcept { return find_named(data_.groups, name); }

}  // namespace diskless::boot
