#include "cli/import_watch.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "cli/exit_code.hpp"
#include "cli/print.hpp"

namespace diskless::cli {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds ask_again{250};

volatile std::sig_atomic_t interrupted = 0;

class ProgressLine {
 public:
    void show(const json::object& import) {
        const auto total = import.at("total_bytes").to_number<std::uint64_t>();
        const std::string stage = import.at("stage").is_null() ? text(import.at("state")) : text(import.at("stage"));
        const auto percent = total == 0 ? 0 : import.at("done_bytes").to_number<std::uint64_t>() * 100 / total;
        if (on_terminal_) {
            fmt::print(stderr, "\r{}: {} {} % of {}\x1b[K", text(import.at("image")), stage, percent, bytes(total));
            std::fflush(stderr);
        } else if (const auto step = percent / 10; stage != stage_ || step > step_) {
            fmt::print(stderr, "{}: {} {} %\n", text(import.at("image")), stage, percent);
            step_ = step;
        }
        stage_ = stage;
    }
    void end() const {
        if (on_terminal_) fmt::print(stderr, "\r\x1b[K");
    }

 private:
    bool on_terminal_ = ::isatty(STDERR_FILENO) == 1;
    std::string stage_;
    std::uint64_t step_ = 0;
};

bool is_over(const json::object& import) {
    const std::string state = text(import.at("state"));
    return state == "done" || state == "failed" || state == "cancelled";
}

int tell_end(const json::object& import, bool as_json) {
    const std::string state = text(import.at("state"));
    if (!import.at("warning").is_null()) fmt::print(stderr, "diskless: {}: {}\n", text(import.at("source")), text(import.at("warning")));
    if (as_json) {
        print_json(import);
    } else if (state == "done") {
        fmt::print("{}@{} is there{}\n", text(import.at("image")), text(import.at("version")),
                   import.at("publish").as_bool() ? " and published" : "");
    }
    if (state == "done") return exit_ok;
    fmt::print(stderr, "diskless: {}\n", state == "failed" ? text(import.at("error")) : "the import was cancelled");
    return exit_failed;
}

}  // namespace

int watch_import(const ApiClient& api, const json::object& first, bool as_json) {
    std::signal(SIGINT, [](int) { interrupted = 1; });
    const std::string id = text(first.at("id"));
    ProgressLine line;
    json::object import = first;
    while (!is_over(import)) {
        line.show(import);
        std::this_thread::sleep_for(ask_again);
        if (interrupted != 0) {
            line.end();
            fmt::print(stderr, "the import goes on in the server; diskless image imports shows it, diskless image cancel {} ends it\n", id);
            return exit_failed;
        }
        import = api.get("/api/v1/imports/" + id).at("import").as_object();
    }
    line.end();
    return tell_end(import, as_json);
}

}  // namespace diskless::cli
