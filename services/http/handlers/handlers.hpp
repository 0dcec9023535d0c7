// The handlers: a request in, an answer out.
#pragma once

#include <boost/json/fwd.hpp>

#include "boot/control.hpp"
#include "boot/disk.hpp"
#include "boot/session.hpp"
#include "services/http/routes.hpp"
#include "services/http/service.hpp"

namespace diskless::http {

/// Files of the boot root, the distribution's loaders, and what is made for the machine that asks; `prefix` bytes of the path are not
/// theirs.
[[nodiscard]] Routes::Handler boot_files_handler(const Deps& deps, std::size_t prefix);
/// /boot.ipxe: the asking machine's script, by its MAC in the query or by its address.
[[nodiscard]] Routes::Handler boot_script_handler(const Deps& deps);
/// /healthz and /metrics
[[nodiscard]] Routes::Handler health_handler(const std::string& version);
[[nodiscard]] Routes::Handler metrics_handler(const CounterRegistry& counters);
/// GET /api/v1/sessions; DELETE /api/v1/sessions/<TSIH>. `list` outlives them.
[[nodiscard]] Routes::Handler sessions_handler(const boot::SessionList& list);
[[nodiscard]] Routes::Handler drop_session_handler(boot::SessionList& list);

/// Where work that waits is done.
struct Threads {
    asio::any_io_executor slow;     ///< moments
    asio::any_io_executor copying;  ///< as long as copying a disk takes
};
/// Images: GET, POST and DELETE below /api/v1/images and /api/v1/imports. `images` outlives them.
void add_image_routes(Routes& routes, boot::ImageControl& images, const Threads& threads);
/// Disks: GET and POST below /api/v1/disks. `disks` outlives them.
void add_disk_routes(Routes& routes, boot::DiskControl& disks, const Threads& threads);

/// How clients boot: GET and POST below /api/v1/clients. `boots` outlives them.
void add_client_routes(Routes& routes, boot::BootControl& boots, const Threads& threads);
/// GET /api/v1/leases; DELETE /api/v1/leases/<address>. `leases` and `catalog` outlive them.
void add_lease_routes(Routes& routes, boot::LeaseControl& leases, boot::CurrentCatalog& catalog, const Threads& threads);

[[nodiscard]] Answer json_answer(const boost::json::object& body);
/// {"error": "what is wrong; what to do"}
[[nodiscard]] Answer error_answer(beast_http::status status, std::string text);

/// Tells the observer what a machine fetched, if we know the machine.
void observe_fetch(const Deps& deps, const IpAddress& peer, boot::Step step, std::string detail);

}  // namespace diskless::http
