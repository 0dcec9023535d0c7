#pragma once

#include "common/network.hpp"

namespace diskless::dhcp {

/// Makes a client of a machine nobody declared (policy "enroll"). From any thread; returns at once.
class Enroller {
 public:
    virtual ~Enroller() = default;
    virtual void enroll(const MacAddress& mac) = 0;
};

}  // namespace diskless::dhcp
