// bench_storage_load: the disk engine alone, without network: many requests in flight on open disks, and what they cost. Prints JSON.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/program_options.hpp>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iostream>
#include <mutex>
#include <vector>

#include "disklessd/disk_files.hpp"

namespace {

using namespace diskless;
using namespace diskless::storage;
namespace options = boost::program_options;
using Clock = std::chrono::steady_clock;

struct Arguments {
    std::string verb;
    std::vector<std::string> disks;
    std::string backend = "auto", backing, format = "raw";
    std::uint64_t count = 100'000, step = 4096, size = 0, flush_interval = 0;
    std::uint32_t block_bytes = 4096, depth = 32, cluster_bits = 16;
    bool write = false, raw = false;
};

double cpu_seconds() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::uint64_t resident_bytes() {
    std::ifstream status{"/proc/self/statm"};
    std::uint64_t total = 0, resident = 0;
    status >> total >> resident;
    return resident * 4096;
}

/// All of a run: who is next, and who is still at work. Places are taken in turn: `step` further each time, disk by disk.
class Run {
 public:
    Run(const Arguments& a, std::vector<std::shared_ptr<BlockDevice>> disks) : arguments_{a}, disks_{std::move(disks)} {}

    void operator()();
    [[nodiscard]] const Arguments& arguments() const noexcept { return arguments_; }
    /// Nothing: it is over.
    [[nodiscard]] std::optional<std::uint64_t> next() noexcept {
        const std::uint64_t number = next_.fetch_add(1);
        return number < arguments_.count ? std::optional{number} : std::nullopt;
    }
    [[nodiscard]] BlockDevice& disk_of(std::uint64_t number) const noexcept { return *disks_[number % disks_.size()]; }
    [[nodiscard]] std::uint64_t place_of(std::uint64_t number) const noexcept {
        return number / disks_.size() * arguments_.step % disk_of(number).geometry().size_bytes;
    }
    void fail(const boost::system::error_code& error) { failed_ = error.value(); }
    void done() {
        const std::lock_guard lock{mutex_};
        if (--working_ == 0) all_done_.notify_all();
    }

 private:
    const Arguments& arguments_;
    std::vector<std::shared_ptr<BlockDevice>> disks_;
    std::atomic<std::uint64_t> next_{0};
    std::atomic<int> failed_{0};
    std::mutex mutex_;
    std::condition_variable all_done_;
    std::size_t working_ = 0;
};

class Worker final : public IoRequest {
 public:
    explicit Worker(Run& run) : run_{run}, data_(run.arguments().block_bytes, std::byte{0x5a}), piece_{data_.data(), data_.size()} {}

    void work() noexcept {
        while (choose()) {
            if (run_.disk_of(number_).start(*this) == Started::pending) return;
            if (error) run_.fail(error);
        }
        run_.done();
    }
    void completed() noexcept override {
        if (error) run_.fail(error);
        work();
    }

 private:
    bool choose() noexcept {
        const Arguments& a = run_.arguments();
        if (must_flush_) {
            must_flush_ = false;
            kind = IoKind::flush;
            buffers = {};
            offset_bytes = length_bytes = 0;
            return true;
        }
        const auto number = run_.next();
        if (!number) return false;
        number_ = *number;
        must_flush_ = a.flush_interval != 0 && (number_ + 1) % a.flush_interval == 0;
        kind = a.write ? IoKind::write : IoKind::read;
        buffers = {&piece_, 1};
        offset_bytes = run_.place_of(number_);
        length_bytes = a.block_bytes;
        return true;
    }

    Run& run_;
    std::vector<std::byte> data_;
    iovec piece_;
    std::uint64_t number_ = 0;
    bool must_flush_ = false;
};

void Run::operator()() {
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::uint32_t i = 0; i < arguments_.depth; ++i) workers.push_back(std::make_unique<Worker>(*this));
    working_ = workers.size();
    const double cpu = cpu_seconds();
    const auto begin = Clock::now();
    for (const auto& worker : workers) worker->work();
    {
        std::unique_lock lock{mutex_};
        all_done_.wait(lock, [this] { return working_ == 0; });
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (failed_ != 0) throw std::runtime_error{std::string{"a request failed: "} + std::strerror(failed_)};
    fmt::print(R"({{"operations": {}, "seconds": {:.6f}, "cpu_seconds": {:.6f}}})"
               "\n",
               arguments_.count, seconds, cpu_seconds() - cpu);
}

std::filesystem::path absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal(); }

std::vector<std::shared_ptr<BlockDevice>> open_all(const Arguments& a, DiskFiles& files) {
    std::vector<std::shared_ptr<BlockDevice>> disks;
    for (const std::string& disk : a.disks) {
        if (a.raw) {
            disks.push_back(files.open_raw(absolute(disk), {}, 0));
        } else {
            disks.push_back(files.open_overlay(absolute(disk), {}));
        }
    }
    return disks;
}

void perform(const Arguments& a) {
    if (a.disks.empty()) throw std::runtime_error{"name the disks"};
    DiskFiles files{absolute(a.disks.front()).parent_path(), make_backend(a.backend, 4)};
    if (a.verb == "create") {
        const DiskFiles::Base base{.path = absolute(a.backing), .format = *boot::disk_format(a.format)};
        for (const std::string& disk : a.disks) files.create_overlay(absolute(disk), a.size, a.backing.empty() ? nullptr : &base);
        return;
    }
    const std::uint64_t resident = resident_bytes();
    const auto begin = Clock::now();
    auto disks = open_all(a, files);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (a.verb == "io") return Run{a, std::move(disks)}();
    if (a.verb != "open") throw std::runtime_error{"io, open or create"};
    Arguments one = a;
    one.count = disks.size();
    if (a.count != 0) Run{one, disks}();  // every disk is used once
    fmt::print(R"({{"disks": {}, "open_seconds": {:.6f}, "resident_bytes_each": {}}})"
               "\n",
               disks.size(), seconds, (resident_bytes() - resident) / disks.size());
}

Arguments parse(int argc, char** argv) {
    Arguments a;
    options::options_description described{"bench_storage_load io|open|create DISK…"};
    described.add_options()                                                                             //
        ("verb", options::value(&a.verb)->required(), "")                                               //
        ("disks", options::value(&a.disks), "")                                                         //
        ("raw", options::bool_switch(&a.raw), "the disks are raw files")                                //
        ("write", options::bool_switch(&a.write), "")                                                   //
        ("count", options::value(&a.count)->default_value(a.count), "requests of all disks together")   //
        ("step", options::value(&a.step)->default_value(a.step), "bytes from one request to the next")  //
        ("block", options::value(&a.block_bytes)->default_value(a.block_bytes), "bytes")                //
        ("depth", options::value(&a.depth)->default_value(a.depth), "requests in flight")               //
        ("flush-interval", options::value(&a.flush_interval), "writes between two flushes")             //
        ("size", options::value(&a.size), "create: bytes")                                              //
        ("backing", options::value(&a.backing), "create: what they stand on")                           //
        ("backing-format", options::value(&a.format)->default_value(a.format), "")                      //
        ("backend", options::value(&a.backend)->default_value(a.backend), "auto, uring or threads");
    options::positional_options_description places;
    places.add("verb", 1).add("disks", -1);
    options::variables_map given;
    options::store(options::command_line_parser{argc, argv}.options(described).positional(places).run(), given);
    options::notify(given);
    return a;
}

}  // namespace

int main(int argc, char** argv) {
    spdlog::set_level(spdlog::level::warn);
    try {
        perform(parse(argc, argv));
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "bench_storage_load: " << e.what() << '\n';
        return 1;
    }
}
