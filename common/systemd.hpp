// sd_notify without libsystemd: one datagram to $NOTIFY_SOCKET (sd_notify(3)). Does nothing when systemd is not there.
#pragma once

#include <string_view>

namespace diskless {

/// For example "READY=1\nSTATUS=…". Failures are ignored: the notification is a courtesy.
void notify_systemd(std::string_view state) noexcept;

}  // namespace diskless
