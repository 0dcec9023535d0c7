// Backend: who performs a raw file's requests that may wait. Two of them behind one interface: io_uring, and a pool of threads where
// io_uring is forbidden (containers often do) or too old. Chosen once at start.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "storage/raw_file.hpp"

namespace diskless::storage {

class Backend {
 public:
    virtual ~Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    /// Performs `request` on `file` and calls its completed() from a thread of its own. Any thread may submit; `file` outlives the request.
    virtual void submit(RawFile& file, IoRequest& request) noexcept = 0;
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

 protected:
    Backend() = default;
};

/// `wanted`: "auto", "uring" or "threads". Throws std::runtime_error when "uring" cannot be had; "auto" falls back to threads. Logs which
/// one it is.
[[nodiscard]] std::shared_ptr<Backend> make_backend(std::string_view wanted, unsigned threads);

}  // namespace diskless::storage
