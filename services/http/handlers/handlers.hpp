// The handlers: a request in, an answer out.
#pragma once

#include "services/http/routes.hpp"
#include "services/http/service.hpp"

namespace diskless::http {

/// /boot/<path>: files of the boot root and the distribution's loaders.
[[nodiscard]] Routes::Handler boot_files_handler(const Deps& deps);
/// /boot.ipxe: the asking machine's script, by its MAC in the query or by its address.
[[nodiscard]] Routes::Handler boot_script_handler(const Deps& deps);
/// /healthz and /metrics
[[nodiscard]] Routes::Handler health_handler(const Deps& deps);
[[nodiscard]] Routes::Handler metrics_handler(const Deps& deps);

/// Tells the observer what a machine fetched, if we know the machine.
void observe_fetch(const Deps& deps, Ipv4Address peer, boot::Step step, std::string detail);

}  // namespace diskless::http
