// How far an import is: told by its thread, read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace diskless::importing {

class Progress {
 public:
    struct Reading {
        const char* stage;
        std::uint64_t done_bytes, total_bytes;
    };

    /// Before the first stage of an import.
    void reset() noexcept {
        stage_ = "";
        done_ = total_ = begun_ = 0;
    }
    /// The stages before are complete; this one works through `bytes`. `stage` is a literal.
    void begin(const char* stage, std::uint64_t bytes) noexcept {
        stage_ = stage;
        begun_ = total_.load();
        done_ = begun_;
        total_ += bytes;
    }
    /// Of this stage.
    void at(std::uint64_t bytes) noexcept { done_ = begun_ + bytes; }
    [[nodiscard]] Reading read() const noexcept { return {stage_, done_, total_}; }

 private:
    std::atomic<const char*> stage_ = "";
    std::atomic<std::uint64_t> done_ = 0, total_ = 0;
    std::uint64_t begun_ = 0;  // the import's thread only
};

}  // namespace diskless::importing
