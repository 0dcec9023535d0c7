// Server: the composition root. Builds every part, hands each what it needs, starts them in order and stops them in the opposite one.
#pragma once

#include <memory>

#include "config/config.hpp"

namespace diskless {

class Server {
 public:
    /// Opens the database and the disks and binds every socket. Throws std::exception with one clear line for whatever cannot be had.
    explicit Server(config::Config config);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Serves until SIGTERM or SIGINT, then stops in order.
    void run();

 private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace diskless
