// EndpointLab: the whole iSCSI machine without a socket, over a disk in memory: bytes in, bytes out. For unit tests and fuzzers.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "services/iscsi/endpoint.hpp"
#include "storage/memory.hpp"

namespace diskless::test {

class EndpointLab final : public iscsi::EndpointHost, public iscsi::TaskSink, public iscsi::BufferWaiter {
 public:
    static constexpr std::size_t disk_bytes = std::size_t{256} << 10;

    explicit EndpointLab(std::uint64_t buffer_bytes = std::uint64_t{64} << 20)
        : buffers{buffer_bytes},
          disk{std::make_shared<storage::MemoryDevice>(storage::Geometry{.size_bytes = disk_bytes, .can_discard = true})},
          units{{std::make_shared<scsi::LogicalUnit>(disk, scsi::Identity{.target_name = "iqn.t:d"})}} {
        units.attach(nexus);
    }

    /// As if they had arrived in one piece; stops when the connection would be closed.
    void feed(ByteSpan bytes) {
        while (!bytes.empty() && !endpoint.finished()) {
            for (const MutableByteSpan& place : endpoint.want()) {
                const std::size_t taken = std::min(place.size(), bytes.size());
                std::ranges::copy(bytes.first(taken), place.begin());
                received_ += taken;
                bytes = bytes.subspan(taken);
            }
            endpoint.received(std::exchange(received_, 0));
            pump();
        }
    }
    [[nodiscard]] std::vector<std::byte> take_output() { return std::exchange(output_, {}); }

    iscsi::SecurityDemand demand;  ///< of every login; set it before the first byte
    int failed_proofs = 0;
    iscsi::BufferPool buffers;
    std::shared_ptr<storage::MemoryDevice> disk;
    scsi::LunMap units;
    scsi::ITNexus nexus{.id = 1, .initiator_port = "iqn.x,i,0x0"};
    iscsi::SessionStatistics statistics;
    iscsi::Endpoint endpoint{iscsi::Limits{.queue_depth = 16}, *this, *this, *this, buffers, statistics};

 private:
    void pump() {
        for (;;) {
            const auto progress = endpoint.process();
            if (std::exchange(opening_, false)) {
                const bool normal = endpoint.login()->identity().type == iscsi::SessionType::normal;
                endpoint.open({.nexus = &nexus, .units = normal ? &units : nullptr}, 1);
            }
            bool sent = false;
            for (auto pieces = endpoint.to_send(); !pieces.empty(); pieces = endpoint.to_send()) {
                sent = true;
                std::size_t written = 0;
                for (const iovec& piece : pieces) {
                    const auto* bytes = static_cast<const std::byte*>(piece.iov_base);
                    output_.insert(output_.end(), bytes, bytes + piece.iov_len);
                    written += piece.iov_len;
                }
                endpoint.written(written);
            }
            if (progress == iscsi::Endpoint::Progress::starved || (progress == iscsi::Endpoint::Progress::blocked && !sent)) return;
        }
    }

    iscsi::Welcome admit(const iscsi::LoginIdentity&) override { return {.demand = demand}; }
    void authentication_failed(std::string_view, std::string_view) override { ++failed_proofs; }
    void open_session(const iscsi::Login&) override { opening_ = true; }
    std::optional<std::string> send_targets(std::string_view value) override {
        if (value == "All") return std::string(20000, 'x');  // long enough for several pieces
        return std::nullopt;
    }
    void abort_others(iscsi::AbortScope, std::function<void()> then) override { then(); }
    void drop_others() override {}
    void first_access(bool) override {}
    void task_finished(iscsi::Task&) noexcept override { std::abort(); }  // memory completes at once
    void memory_available() noexcept override {}

    std::vector<std::byte> output_;
    std::size_t received_ = 0;
    bool opening_ = false;
};

}  // namespace diskless::test
