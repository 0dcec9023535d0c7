// Initiator: one iSCSI session that keeps a number of commands under way. Blocking only while it connects and logs in.
#pragma once

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/iscsi_load/region.hpp"
#include "common/network.hpp"
#include "services/iscsi/wire/pdu.hpp"
#include "services/iscsi/wire/requests.hpp"
#include "services/iscsi/wire/responses.hpp"

namespace diskless::bench {

using Clock = std::chrono::steady_clock;
namespace wire = iscsi::wire;

struct Workload {
    Ipv4Address address{0x7f000001};
    std::uint16_t port = 3260;
    std::string target;
    std::string initiator = "iqn.2026-11.org.diskless:load";
    std::uint64_t lun = 0;
    std::uint32_t depth = 1;
    std::vector<std::uint32_t> sizes;  ///< of transfers, in bytes; one is drawn for each command
    unsigned write_percent = 0;
    bool sequential = false;
    bool verify = false;
    bool digests = false;
};

/// What all sessions have done.
struct Outcome {
    std::uint64_t commands = 0, bytes = 0, errors = 0, wrong_blocks = 0;
    std::vector<std::uint32_t> latencies_us;
};

class Initiator {
 public:
    /// Connects and logs in. Throws std::runtime_error.
    Initiator(const Workload& workload, unsigned number, Region region, Outcome& outcome);
    Initiator(const Initiator&) = delete;
    Initiator& operator=(const Initiator&) = delete;
    ~Initiator();

    [[nodiscard]] int descriptor() const noexcept { return socket_; }
    /// Commands so far.
    [[nodiscard]] std::uint64_t ended() const noexcept { return ended_; }
    /// New commands until the depth is reached, unless draining.
    void start_commands(bool draining);
    /// What goes without waiting. Both throw when the session breaks.
    void receive();
    void transmit();
    [[nodiscard]] bool wants_to_write() const noexcept { return sent_ < output_.size(); }
    [[nodiscard]] std::size_t under_way() const noexcept { return under_way_; }

 private:
    struct Command {
        bool active = false, write = false;
        std::uint64_t offset = 0;  ///< blocks of the region
        std::vector<std::byte> data;
        Clock::time_point started;
    };

    void connect();
    void log_in(unsigned number);
    void start(std::uint32_t tag);
    [[nodiscard]] bool choose(Command& command);
    void send(const wire::Bhs& bhs, ByteSpan data);
    void send_data(std::uint32_t tag, std::uint32_t transfer_tag, std::uint32_t offset, std::uint32_t length);
    void receive_pdu(ByteSpan bhs, ByteSpan data);
    void finish(std::uint32_t tag, std::uint8_t status);

    const Workload& workload_;
    Region region_;
    Outcome& outcome_;
    std::uint64_t ended_ = 0;
    std::mt19937_64 random_;
    int socket_ = -1;
    wire::Digests digests_;
    std::uint32_t max_segment_ = 8192, first_burst_ = 65536;
    bool initial_r2t_ = true, immediate_data_ = false;

    std::vector<Command> slots_;
    std::size_t under_way_ = 0;
    bool begun_ = false, attention_heard_ = false;
    std::uint64_t next_offset_ = 0;
    std::uint32_t cmd_sn_ = 1, max_cmd_sn_ = 1, exp_stat_sn_ = 0;
    std::vector<std::byte> input_, output_;
    std::size_t received_ = 0, sent_ = 0;
};

}  // namespace diskless::bench
