// BootDesk: what a client will be given, shown; and machines that are off, woken. From any thread.
#pragma once

#include <functional>

#include "boot/address_book.hpp"
#include "boot/catalog.hpp"
#include "boot/control.hpp"
#include "boot/plan.hpp"

namespace diskless {

class BootDesk final : public boot::BootControl {
 public:
    /// Keeps a choice for one boot, and ends when the catalog has it.
    using KeepChoice = std::function<void(const std::string& client, const std::string& choice)>;
    /// `interface`: where magic packets leave; empty: where the routes say.
    BootDesk(boot::CurrentCatalog& catalog, const boot::AddressBook& addresses, boot::BootServer server, std::string interface,
             KeepChoice keep);

    [[nodiscard]] boot::OrRefusal<boot::BootView> boot_of(const std::string& client) override;
    boot::OrRefusal<boot::BootView> set_next_boot(const std::string& client, const std::string& choice) override;
    boot::OrRefusal<std::size_t> wake(const std::string& client) override;

 private:
    boot::CurrentCatalog& catalog_;
    const boot::AddressBook& addresses_;
    const boot::BootServer server_;
    const std::string interface_;
    const KeepChoice keep_;
};

}  // namespace diskless
