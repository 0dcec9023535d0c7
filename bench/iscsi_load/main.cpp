// bench_iscsi_load: many iSCSI sessions at a target, timed or checked. Prints one line of JSON.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>

#include "bench/iscsi_load/initiator.hpp"

namespace {

using namespace diskless;
using namespace diskless::bench;
namespace options = boost::program_options;

struct Arguments {
    Workload workload;
    unsigned sessions = 1;
    std::uint64_t region_bytes = 0;
    double seconds = 2, ramp = 0.3;
    std::vector<int> server_pids;
};

/// CPU time of processes and all their threads, in nanoseconds.
std::uint64_t cpu_ns(const std::vector<int>& pids) {
    std::uint64_t total = 0;
    for (const int pid : pids) {
        std::error_code ignored;
        for (const auto& task : std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/task", ignored}) {
            std::uint64_t running = 0;
            std::ifstream{task.path() / "schedstat"} >> running;
            total += running;
        }
    }
    return total;
}

std::vector<std::uint32_t> sizes_of(const std::string& text) {
    std::vector<std::uint32_t> sizes;
    std::istringstream words{text};
    for (std::string word; std::getline(words, word, ',');) {
        const unsigned long size = std::stoul(word);
        if (size == 0 || size % Region::block_bytes != 0 || size > (1u << 20))
            throw options::error{"--size: multiples of 512 up to 1048576"};
        sizes.push_back(static_cast<std::uint32_t>(size));
    }
    return sizes;
}

std::optional<Arguments> parse(int argc, char** argv) {
    Arguments arguments;
    Workload& w = arguments.workload;
    std::string address, size;
    options::options_description described{"bench_iscsi_load - many iSCSI sessions at a target, timed or checked"};
    described.add_options()                                                                                          //
        ("address", options::value(&address)->default_value("127.0.0.1"), "of the target")                           //
        ("port", options::value(&w.port)->default_value(3260), "")                                                   //
        ("target", options::value(&w.target)->required(), "its name")                                                //
        ("initiator", options::value(&w.initiator)->default_value(w.initiator), "our name")                          //
        ("lun", options::value(&w.lun)->default_value(0), "")                                                        //
        ("sessions", options::value(&arguments.sessions)->default_value(1), "")                                      //
        ("depth", options::value(&w.depth)->default_value(1), "commands under way in each session")                  //
        ("size", options::value(&size)->default_value("4096"), "bytes of a transfer; several, with commas: mixed")   //
        ("write", options::value(&w.write_percent)->default_value(0), "percent of the commands")                     //
        ("sequential", options::bool_switch(&w.sequential), "not at random places")                                  //
        ("verify", options::bool_switch(&w.verify), "every session checks its own part of the region")               //
        ("digests", options::bool_switch(&w.digests), "CRC32C over headers and data")                                //
        ("region", options::value(&arguments.region_bytes)->required(), "bytes of the disk to work on")              //
        ("seconds", options::value(&arguments.seconds)->default_value(2), "to measure")                              //
        ("ramp", options::value(&arguments.ramp)->default_value(0.3), "seconds before")                              //
        ("server-pid", options::value(&arguments.server_pids)->composing(), "processes whose CPU time is measured")  //
        ("help,h", "print this and exit");
    options::variables_map given;
    options::store(options::parse_command_line(argc, argv, described), given);
    if (given.contains("help")) {
        std::cout << described;
        return std::nullopt;
    }
    options::notify(given);
    w.sizes = sizes_of(size);
    const auto parsed = Ipv4Address::parse(address);
    if (!parsed || arguments.sessions == 0 || w.depth == 0) throw options::error{"--address, --sessions or --depth makes no sense"};
    w.address = *parsed;
    return arguments;
}

class Load {
 public:
    explicit Load(const Arguments& arguments) : arguments_{arguments}, poll_{::epoll_create1(EPOLL_CLOEXEC)} {
        const std::uint64_t blocks = arguments.region_bytes / Region::block_bytes;
        const bool apart = arguments.workload.verify;
        const std::uint64_t share = apart ? blocks / arguments.sessions : blocks;
        for (unsigned i = 0; i < arguments.sessions; ++i) {
            sessions_.push_back(std::make_unique<Initiator>(arguments.workload, i + 1, Region{apart ? i * share : 0, share}, outcome_));
            epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
            ::epoll_ctl(poll_, EPOLL_CTL_ADD, sessions_.back()->descriptor(), &event);
        }
        writing_.resize(arguments.sessions);
    }
    ~Load() { ::close(poll_); }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void run() {
        turn(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{arguments_.ramp}), false);
        const Outcome before = std::exchange(outcome_, {});
        const auto ended_before = ended();
        const std::uint64_t cpu_before = cpu_ns(arguments_.server_pids);
        const auto begin = Clock::now();
        turn(begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{arguments_.seconds}), false);
        seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
        server_cpu_ns_ = cpu_ns(arguments_.server_pids) - cpu_before;
        measured_ = std::exchange(outcome_, {});
        slowest_ = std::numeric_limits<std::uint64_t>::max();
        for (std::size_t i = 0; i < sessions_.size(); ++i) slowest_ = std::min(slowest_, sessions_[i]->ended() - ended_before[i]);
        turn(Clock::now() + std::chrono::seconds{30}, true);
        measured_.errors += before.errors + outcome_.errors;
        measured_.wrong_blocks += before.wrong_blocks + outcome_.wrong_blocks;
    }

    /// True: nothing went wrong.
    bool report() {
        std::ranges::sort(measured_.latencies_us);
        const auto percentile = [this](double p) {
            const auto& all = measured_.latencies_us;
            return all.empty() ? 0u : all[std::min(all.size() - 1, static_cast<std::size_t>(p * static_cast<double>(all.size())))];
        };
        const auto commands = static_cast<double>(std::max<std::uint64_t>(1, measured_.commands));
        std::printf(R"({"commands": %llu, "seconds": %.3f, "iops": %.0f, "mb_s": %.1f, "p50_us": %u, "p99_us": %u, )"
                    R"("cpu_us_per_command": %.3f, "slowest_of_mean": %.2f, "errors": %llu, "wrong_blocks": %llu, "unfinished": %zu})"
                    "\n",
                    static_cast<unsigned long long>(measured_.commands), seconds_, commands / seconds_,
                    static_cast<double>(measured_.bytes) / seconds_ / 1e6, percentile(0.5), percentile(0.99),
                    static_cast<double>(server_cpu_ns_) / 1000 / commands,
                    static_cast<double>(slowest_) * static_cast<double>(sessions_.size()) / commands,
                    static_cast<unsigned long long>(measured_.errors), static_cast<unsigned long long>(measured_.wrong_blocks),
                    under_way());
        return measured_.errors == 0 && measured_.wrong_blocks == 0 && under_way() == 0;
    }

 private:
    [[nodiscard]] std::vector<std::uint64_t> ended() const {
        std::vector<std::uint64_t> all;
        all.reserve(sessions_.size());
        for (const auto& session : sessions_) all.push_back(session->ended());
        return all;
    }

    [[nodiscard]] std::size_t under_way() const {
        std::size_t all = 0;
        for (const auto& session : sessions_) all += session->under_way();
        return all;
    }

    void turn(Clock::time_point until, bool draining) {
        for (std::size_t i = 0; i < sessions_.size(); ++i) advance(i, draining);
        std::array<epoll_event, 128> events{};
        while (Clock::now() < until && !(draining && under_way() == 0)) {
            const int count = ::epoll_wait(poll_, events.data(), events.size(), 100);
            for (int i = 0; i < count; ++i) advance(events[static_cast<std::size_t>(i)].data.u64, draining);
        }
    }

    void advance(std::size_t number, bool draining) {
        Initiator& session = *sessions_[number];
        session.receive();
        session.start_commands(draining);
        session.transmit();
        if (session.wants_to_write() == writing_[number]) return;
        writing_[number] = session.wants_to_write();
        epoll_event event{.events = EPOLLIN | (session.wants_to_write() ? EPOLLOUT : 0u), .data = {.u64 = number}};
        ::epoll_ctl(poll_, EPOLL_CTL_MOD, session.descriptor(), &event);
    }

    const Arguments& arguments_;
    int poll_;
    Outcome outcome_, measured_;
    std::vector<std::unique_ptr<Initiator>> sessions_;
    std::vector<bool> writing_;
    double seconds_ = 0;
    std::uint64_t slowest_ = 0;  // commands of the session that had least
    std::uint64_t server_cpu_ns_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto arguments = parse(argc, argv);
        if (!arguments) return 0;
        Load load{*arguments};
        load.run();
        return load.report() ? 0 : 1;
    } catch (const options::error& e) {
        std::fprintf(stderr, "bench_iscsi_load: %s; see --help\n", e.what());
        return 2;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bench_iscsi_load: %s\n", e.what());
        return 1;
    }
}
