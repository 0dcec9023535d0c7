#include "disklessd/import_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "common/text.hpp"
#include "disklessd/importing/disk_file.hpp"
#include "disklessd/importing/error.hpp"

namespace diskless {
namespace {

namespace fs = std::filesystem;
using boot::ImportJob;
using State = ImportJob::State;

constexpr std::size_t max_waiting = 100;
constexpr std::size_t max_over = 100;
constexpr std::string_view working_suffix = ".importing";

std::unexpected<boot::Refusal> refuse(boot::Refusal::Kind kind, std::string text) {
    return std::unexpected{boot::Refusal{kind, std::move(text)}};
}

}  // namespace

ImportQueue::ImportQueue(Deps deps) : deps_{std::move(deps)} {}

fs::path ImportQueue::working_file(const ImportJob& job) const {
    return deps_.data_dir / "images" / job.image / fmt::format("{}{}", job.id, working_suffix);
}

ImportJob* ImportQueue::find(std::uint64_t id) {
    const auto found = std::ranges::find(jobs_, id, &ImportJob::id);
    return found == jobs_.end() ? nullptr : &*found;
}

void ImportQueue::start() {
    jobs_ = deps_.store.imports();
    for (ImportJob& job : jobs_) {
        if (job.over()) continue;
        log::info("image.import_resumed", "import={} image={} was={}", job.id, job.image, name_of(job.state));
        if (job.state != State::storing) job.state = State::waiting;
    }
    sweep();
    thread_ = std::jthread{[this](const std::stop_token& stop) { serve(stop); }};
}

/// What imports left that are over, or were never heard of.
void ImportQueue::sweep() const {
    std::set<fs::path> wanted;
    for (const ImportJob& job : jobs_) {
        if (!job.over()) wanted.insert(working_file(job));
    }
    std::error_code error;
    for (const fs::directory_entry& folder : fs::directory_iterator{deps_.data_dir / "images", error}) {
        std::error_code unreadable;
        for (const fs::directory_entry& entry : fs::directory_iterator{folder.path(), unreadable}) {
            const std::string name = entry.path().native();
            const auto suffix = name.find(working_suffix, folder.path().native().size());
            if (suffix == std::string::npos || wanted.contains(name.substr(0, suffix + working_suffix.size()))) continue;
            std::error_code kept;
            if (fs::remove(entry.path(), kept)) log::info("image.left_over_removed", "file={}", name);
        }
    }
}

boot::OrRefusal<ImportJob> ImportQueue::add(ImportJob job) {
    {
        const std::lock_guard lock{mutex_};
        if (std::cmp_greater_equal(std::ranges::count(jobs_, false, &ImportJob::over), max_waiting))
            return refuse(boot::Refusal::Kind::conflict, fmt::format("{} imports wait already; try again when some are done", max_waiting));
    }
    job.id = deps_.store.save(job);
    log::info("image.import_waits", "import={} image={} source=\"{}\"", job.id, job.image, escaped(job.source.native(), 300));
    {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(job);
        forget_old_ones();
    }
    arrived_.notify_one();
    return job;
}

void ImportQueue::forget_old_ones() {
    auto surplus = std::ranges::count(jobs_, true, &ImportJob::over) - static_cast<std::ptrdiff_t>(max_over);
    std::erase_if(jobs_, [&](const ImportJob& job) { return job.over() && surplus-- > 0; });
}

boot::OrRefusal<ImportJob> ImportQueue::cancel(std::uint64_t id) {
    std::unique_lock lock{mutex_};
    ImportJob* job = find(id);
    if (job == nullptr)
        return refuse(boot::Refusal::Kind::not_found, fmt::format("there is no import {}; diskless image imports lists them", id));
    if (job->over() || job->state == State::storing)
        return refuse(boot::Refusal::Kind::conflict,
                      fmt::format("import {} is {}; diskless image delete removes what it made", id, name_of(job->state)));
    ImportJob answer = *job;
    answer.state = State::cancelled;
    if (current_ == id) {
        is_cancelled_ = true;
        break_off_.request_stop();
        return answer;
    }
    *job = answer;
    lock.unlock();
    importing::discard(working_file(answer));
    deps_.store.save(answer);
    return answer;
}

std::vector<ImportJob> ImportQueue::jobs() const {
    const std::lock_guard lock{mutex_};
    std::vector<ImportJob> jobs = jobs_;
    if (const auto running = std::ranges::find(jobs, current_, &ImportJob::id); running != jobs.end()) {
        const importing::Progress::Reading reading = progress_.read();
        running->stage = reading.stage;
        running->done_bytes = reading.done_bytes;
        running->total_bytes = reading.total_bytes;
    }
    return jobs;
}

void ImportQueue::serve(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    const auto next = [this] { return std::ranges::find(jobs_, false, &ImportJob::over); };
    while (arrived_.wait(lock, stop, [&] { return next() != jobs_.end(); }) && !stop.stop_requested()) {
        const ImportJob job = *next();
        current_ = job.id;
        is_cancelled_ = false;
        break_off_ = {};
        progress_.reset();
        lock.unlock();
        perform(job, stop);
        lock.lock();
        current_ = 0;
    }
}

void ImportQueue::remember(const ImportJob& job) {
    deps_.store.save(job);
    const std::lock_guard lock{mutex_};
    if (ImportJob* kept = find(job.id)) *kept = job;
}

void ImportQueue::perform(ImportJob job, const std::stop_token& stop) {
    try {
        if (job.state != State::storing) make(job, stop);
        store(job);
    } catch (const importing::Stopped&) {
        std::unique_lock lock{mutex_};
        const bool for_good = is_cancelled_;  // otherwise the server stops, and the next one goes on
        lock.unlock();
        if (for_good) end(std::move(job), State::cancelled, {});
    } catch (const std::exception& e) {
        std::string error = fmt::format("{}: {}", escaped(job.source.native(), 300), e.what());
        end(std::move(job), State::failed, std::move(error));
    }
}

void ImportQueue::make(ImportJob& job, const std::stop_token& stop) {
    job.state = State::running;
    remember(job);
    const fs::path working = working_file(job);
    fs::create_directories(working.parent_path());
    const std::stop_callback broken_off{stop, [this] { break_off_.request_stop(); }};
    const importing::Made made =
        importing::make_disk({.source = job.source, .format = job.format, .working = working, .reached = {job.safe_bytes, job.source_mark}},
                             deps_.limits, progress_, break_off_.get_token(), [&](const importing::SafePoint& point) {
                                 job.safe_bytes = point.bytes;
                                 job.source_mark = point.source_mark;
                                 remember(job);
                             });
    job.warning = made.warning;
    job.result.size_bytes = made.size_bytes;
    job.result.digest = made.digest;
    job.result.number = deps_.reserve_number(job.image);
    job.result.file = fs::path{"images"} / job.image / fmt::format("{}.raw", job.result.number);
    decide(job);
    deps_.store.save(job);
}

/// From here on it is too late to cancel.
void ImportQueue::decide(ImportJob& job) {
    const std::lock_guard lock{mutex_};
    if (is_cancelled_) throw importing::Stopped{};
    job.state = State::storing;
    if (ImportJob* kept = find(job.id)) *kept = job;
}

void ImportQueue::store(ImportJob& job) {
    const fs::path working = working_file(job), file = deps_.data_dir / job.result.file;
    // Of an attempt that ended right here, the file may have its name already.
    if (fs::exists(working)) fs::rename(working, file);
    if (!fs::exists(file) || fs::file_size(file) != job.result.size_bytes)
        throw importing::ImportError{fmt::format("{} is not what was made; import it again", file.native())};
    importing::sync_folder(file.parent_path());
    importing::sync_folder(file.parent_path().parent_path());
    job.state = State::done;
    deps_.commit(job);
    if (!job.warning.empty()) log::warn("image.import_warning", "import={} warning=\"{}\"", job.id, job.warning);
    const std::lock_guard lock{mutex_};
    if (ImportJob* kept = find(job.id)) *kept = job;
}

void ImportQueue::end(ImportJob job, State state, std::string error) {
    importing::discard(working_file(job));
    job.state = state;
    job.error = std::move(error);
    if (state == State::failed) {
        log::error("image.import_failed", "import={} image={} reason=\"{}\"", job.id, job.image, job.error);
    } else {
        log::info("image.import_cancelled", "import={} image={}", job.id, job.image);
    }
    try {
        remember(job);
    } catch (const std::exception& e) {
        log::error("image.import_not_kept", "import={} effect=\"it is tried again at the next start\" reason=\"{}\"", job.id, e.what());
        const std::lock_guard lock{mutex_};
        if (ImportJob* kept = find(job.id)) *kept = job;
    }
}

}  // namespace diskless
