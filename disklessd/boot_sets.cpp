#include "disklessd/boot_sets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "common/log.hpp"
#include "disklessd/page_warmer.hpp"

namespace diskless {
namespace {

namespace fs = std::filesystem;
using storage::BootSet;

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// The files of a version as they are now, with nothing read of them.
BootSet shape_of(const BootSets::Version& version) {
    BootSet shape;
    for (const WatchedFile& file : version.chain) shape.files.push_back({.size_bytes = file.reads->size_bytes(), .runs = {}});
    return shape;
}

// Not synced: after a power cut the checksum tells whether it is whole.
bool write_whole(const fs::path& path, const std::vector<std::byte>& bytes) {
    const fs::path unfinished = path.string() + ".new";
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    {
        std::ofstream out{unfinished, std::ios::binary | std::ios::trunc};
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        if (!out.flush()) {
            fs::remove(unfinished, error);
            return false;
        }
    }
    fs::rename(unfinished, path, error);
    return !error;
}

}  // namespace

BootSets::BootSets(CounterRegistry& counters) : BootSets{counters, Limits{}} {}

BootSets::BootSets(CounterRegistry& counters, Limits limits)
    : limits_{limits},
      recorded_bytes_{counters.counter("diskless_boot_sets_recorded_bytes_total")},
      warmed_bytes_{counters.counter("diskless_boot_sets_warmed_bytes_total")} {}

BootSets::~BootSets() {
    stopping_ = true;
    look(Clock::time_point::max());
    worker_.join();
}

void BootSets::boot_begins(Version version, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    const auto [found, first] = states_.try_emplace(version.name);
    State& state = found->second;
    const bool after_pause = first || now - state.last_boot > limits_.pause;
    state.last_boot = now;
    if (after_pause) asio::post(worker_, [this, version] { warm(version); });
    if (state.until || (state.known && !after_pause)) return;
    for (const WatchedFile& file : version.chain) file.reads->begin();
    state.until = now + limits_.recording;
    state.recorded = std::move(version);
}

void BootSets::look(Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    for (auto& [name, state] : states_) {
        if (state.until && *state.until <= now) end(state);
    }
}

void BootSets::end(State& state) {
    BootSet fresh = shape_of(state.recorded);
    for (std::size_t i = 0; i < fresh.files.size(); ++i) {
        fresh.files[i].runs = state.recorded.chain[i].reads->runs();
        state.recorded.chain[i].reads->end();
    }
    state.until.reset();
    asio::post(worker_, [this, version = std::exchange(state.recorded, {}), fresh = std::move(fresh)]() mutable {
        keep(version, std::move(fresh));
    });
}

// Machines differ and people begin to work, so what boots read adds up; when that becomes too much, the last boot counts alone.
void BootSets::keep(const Version& version, BootSet fresh) {
    std::error_code error;
    if (fresh.bytes() == 0 || !fs::exists(version.chain.front().path, error)) return;  // the version may be deleted by now
    const std::uint64_t recorded = fresh.bytes();
    const auto before = load(version);
    if (before) {
        if (BootSet both = united(*before, fresh); both.bytes() <= limits_.warm_bytes) fresh = std::move(both);
    }
    fresh = bounded(std::move(fresh));
    recorded_bytes_.add(recorded);
    if (fresh != before && !write_whole(version.file, encode(fresh))) {
        log::warn("image.bootset_not_kept", "version={} file={}", version.name, version.file.native());
        return;
    }
    is_known(version.name);
    log::info("image.bootset", "version={} recorded_mib={:.1f} mib={:.1f} runs={}", version.name, mib(recorded), mib(fresh.bytes()),
              fresh.run_count());
}

std::optional<BootSet> BootSets::load(const Version& version) {
    std::error_code error;
    const auto size = fs::file_size(version.file, error);
    if (error) return std::nullopt;
    std::string why = "it is too large";
    if (size <= BootSet::max_encoded_bytes) {
        std::ifstream in{version.file, std::ios::binary};
        const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
        auto set = storage::decode_boot_set(as_bytes(bytes));
        if (set && set->fits(shape_of(version))) return std::move(*set);
        why = set ? "the files of the version are other ones" : set.error();
    }
    log::warn("image.bootset_ignored", "version={} file={} reason=\"{}\" effect=\"it is removed, and recorded anew\"", version.name,
              version.file.native(), why);
    fs::remove(version.file, error);
    return std::nullopt;
}

void BootSets::is_known(const std::string& name) {
    const std::lock_guard lock{mutex_};
    states_[name].known = true;
}

void BootSets::warm(const Version& version) {
    if (stopping_) return;
    const auto set = load(version);
    if (!set) return;
    is_known(version.name);
    PageWarmer warmer{std::min(limits_.warm_bytes, available_memory_bytes() / 2), stopping_};
    for (std::size_t i = 0; i < set->files.size(); ++i) warmer.warm(version.chain[i].path, set->files[i]);
    if (stopping_) return;
    warmed_bytes_.add(warmer.warmed_bytes());
    log::info("image.warmed", "version={} mib={:.1f} of_mib={:.1f}", version.name, mib(warmer.warmed_bytes()), mib(set->bytes()));
}

}  // namespace diskless
