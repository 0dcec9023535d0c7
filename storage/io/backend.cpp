#include "storage/io/backend.hpp"

#include <stdexcept>

#include "common/log.hpp"
#include "storage/io/thread_pool.hpp"
#include "storage/io/uring.hpp"

namespace diskless::storage {

std::shared_ptr<Backend> make_backend(std::string_view wanted, unsigned threads) {
    auto pool = std::make_shared<ThreadPool>(threads);
    if (wanted == "threads") {
        log::info("storage.backend", "name=threads threads={}", threads);
        return pool;
    }
    try {
        auto uring = std::make_shared<Uring>(pool);
        log::info("storage.backend", "name=uring");
        return uring;
    } catch (const std::runtime_error& e) {
        if (wanted == "uring") throw;
        log::info("storage.backend", "name=threads threads={} because=\"{}\"", threads, e.what());
        return pool;
    }
}

}  // namespace diskless::storage
