// An IscsiService on loopback with disks in memory: what the service tests talk to.
#pragma once

#include <atomic>
#include <boost/asio/use_future.hpp>
#include <expected>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "boot/plan.hpp"
#include "common/runtime.hpp"
#include "common/task_group.hpp"
#include "services/iscsi/service.hpp"
#include "storage/memory.hpp"
#include "tests/support/raw_initiator.hpp"

namespace diskless::test {

inline constexpr std::string_view prefix = "iqn.2026-11.lan.test";

/// Gives every LUN 16 MiB of memory, the same every time it is asked.
class MemoryLuns : public iscsi::LunProvider {
 public:
    asio::awaitable<std::expected<std::vector<iscsi::Lun>, std::string>> open(const iscsi::TargetRef& target, bool /*boots*/) override {
        const std::lock_guard lock{mutex_};
        ++openings;
        if (broken) co_return std::unexpected{std::string{"disk is broken"}};
        std::vector<iscsi::Lun> luns;
        for (const boot::Disk& disk : target.disks) luns.push_back({.number = disk.lun, .device = device_for(target.iqn, disk.lun)});
        co_return luns;
    }
    std::shared_ptr<storage::BlockDevice>& device_for(const std::string& iqn, std::uint16_t lun) {
        auto& device = devices_[{iqn, lun}];
        if (!device) device = std::make_shared<storage::MemoryDevice>(storage::Geometry{.size_bytes = 16u << 20, .can_discard = true});
        return device;
    }
    std::atomic<int> openings{0};
    std::atomic<bool> broken{false};

 private:
    std::mutex mutex_;
    std::map<std::pair<std::string, std::uint16_t>, std::shared_ptr<storage::BlockDevice>> devices_;
};

class RecordingObserver : public boot::BootObserver {
 public:
    void observe(boot::Event event) override {
        const std::lock_guard lock{mutex_};
        events_.push_back(std::move(event));
    }
    [[nodiscard]] std::vector<boot::Step> steps() {
        const std::lock_guard lock{mutex_};
        std::vector<boot::Step> steps;
        for (const boot::Event& event : events_) steps.push_back(event.step);
        return steps;
    }

 private:
    std::mutex mutex_;
    std::vector<boot::Event> events_;
};

inline boot::CatalogData two_clients() {
    const auto client = [](const char* name, const char* mac) {
        boot::ClientEntry entry{.name = name, .macs = {*MacAddress::parse(mac)}, .address = Ipv4Address::parse("127.0.0.1")};
        entry.settings.disks = std::vector<boot::Disk>{{.lun = 0, .source = boot::BlankSource{16u << 20}}};
        return entry;
    };
    boot::CatalogData data;
    // Reservations are unique in a real catalog; on loopback only one client can be "at home", the other one has no address at all.
    data.clients = {client("desk-01", "52:54:00:12:34:01"), client("desk-02", "52:54:00:12:34:02")};
    data.clients[1].address.reset();
    data.clients[1].initiators = {"iqn.1993-08.org.debian:*"};
    data.targets = {{.name = "scratch",
                     .luns = {{.lun = 0, .source = boot::BlankSource{16u << 20}}, {.lun = 3, .source = boot::BlankSource{16u << 20}}},
                     .initiators = {"iqn.2026-11.test:*"}},
                    {.name = "nobodys", .luns = {{.lun = 0, .source = boot::BlankSource{16u << 20}}}}};
    return data;
}

struct ReservationsInMemory final : boot::ReservationStore {
    [[nodiscard]] std::optional<std::string> load(const std::string&, std::uint16_t lun) const override {
        const auto found = states.find(lun);
        return found == states.end() ? std::nullopt : std::optional{found->second};
    }
    void save(const std::string&, std::uint16_t lun, std::string state, Saved saved) override {
        if (state.empty()) {
            states.erase(lun);
        } else {
            states[lun] = std::move(state);
        }
        saved(true);
    }
    std::map<std::uint16_t, std::string> states;  // by LUN: a test uses one target, and one session at a time
};

class Serving {
 public:
    explicit Serving(config::Iscsi wanted = {}, unsigned threads = 2) : runtime_{threads} {
        wanted.port = 0;
        wanted.target_prefix = prefix;
        service = std::make_unique<iscsi::IscsiService>(
            wanted, iscsi::IscsiService::Deps{runtime_.lanes(), catalog, addresses, secrets, counters, observer, luns, reservations});
        service->bind(Ipv4Address{0x7f000001});
        ended_ = asio::co_spawn(runtime_.executor(), service->run(), asio::use_future);
        thread_ = std::thread{[this] { runtime_.run(); }};
    }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;
    ~Serving() {
        stop();
        runtime_.stop();
        thread_.join();
    }
    void stop() {
        if (!ended_.valid()) return;
        service->stop();
        ended_.get();
    }
    [[nodiscard]] std::uint16_t port() const { return service->port(); }
    [[nodiscard]] std::string client_target(const std::string& name) const { return boot::target_name(prefix, name); }
    [[nodiscard]] std::string client_initiator(const std::string& name) const { return boot::initiator_name(prefix, name); }
    [[nodiscard]] wire::LoginResponse login(RawInitiator& initiator, Keys keys = {}, wire::Isid isid = {{std::byte{0x80}}}) const {
        return initiator.login(client_initiator("desk-01"), client_target("desk-01"), std::move(keys), isid);
    }

 private:
    Runtime runtime_;  // outlives the service and its sockets

 public:
    boot::CurrentCatalog catalog{std::make_shared<boot::Catalog>(two_clients())};
    boot::AddressBook addresses;
    boot::CurrentSecrets secrets;
    CounterRegistry counters;
    RecordingObserver observer;
    MemoryLuns luns;
    ReservationsInMemory reservations;
    std::unique_ptr<iscsi::IscsiService> service;

 private:
    std::future<void> ended_;
    std::thread thread_;
};

}  // namespace diskless::test
