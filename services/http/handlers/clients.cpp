#include <algorithm>

#include "boot/control.hpp"
#include "services/http/handlers/orders.hpp"

namespace diskless::http {
namespace {

namespace json = boost::json;
using beast_http::status;

constexpr std::string_view clients_path = "/api/v1/clients", leases_path = "/api/v1/leases";

json::object to_json(const boot::BootView& view) {
    json::array loaders;
    for (const auto& [firmware, file] : view.loaders) loaders.push_back({{"firmware", firmware}, {"file", text_or_null(file)}});
    return {{"client", view.client},
            {"method", view.method},
            {"macs", json::array(view.macs.begin(), view.macs.end())},
            {"address", text_or_null(view.address)},
            {"target", view.target},
            {"loaders", std::move(loaders)},
            {"next_boot", text_or_null(view.next_boot)},
            {"script", view.script}};
}

std::string_view name_of(boot::LeaseState state) noexcept {
    switch (state) {
        case boot::LeaseState::bound: return "bound";
        case boot::LeaseState::released: return "released";
        case boot::LeaseState::declined: return "declined";
    }
    return {};
}

json::object to_json(const boot::Lease& lease, const boot::Catalog& catalog) {
    const boot::Client* client = catalog.by_mac(lease.mac);
    // What machines say of themselves may be any bytes, and JSON is text.
    std::string host_name = lease.host_name;
    std::ranges::replace_if(host_name, [](char c) { return c < ' ' || c > '~'; }, '?');
    return {{"address", lease.address.text()},
            {"mac", lease.mac.text()},
            {"client", text_or_null(client != nullptr ? client->name : std::string{})},
            {"host_name", text_or_null(host_name)},
            {"state", name_of(lease.state)},
            {"starts", lease.starts.time_since_epoch().count()},
            {"expires", lease.expires.time_since_epoch().count()}};
}

Answer nothing_here() {
    return error_answer(status::not_found,
                        "nothing is here; a client's boot is at /api/v1/clients/NAME/boot, POST …/NAME/wake wakes it, …/NAME/next {choice} "
                        "is for one boot");
}

}  // namespace

void add_client_routes(Routes& routes, boot::BootControl& boots, const Threads& threads) {
    using enum beast_http::verb;
    add_waiting(routes, get, clients_path, "/", [&boots, threads](const Words& words, const std::string&) {
        return Waiting{threads.slow, [&boots, words] {
                           if (words.size() != 2 || words[1] != "boot") return nothing_here();
                           return answer_of(boots.boot_of(words[0]), [](const boot::BootView& view) { return to_json(view); });
                       }};
    });
    add_waiting(routes, post, clients_path, "/", [&boots, threads](const Words& words, const std::string& text) {
        return Waiting{threads.slow, [&boots, words, text] {
                           const std::string order = words.size() == 2 ? words[1] : "";
                           if (order == "wake")
                               return answer_of(boots.wake(words[0]), [](std::size_t cards) { return json::object{{"cards", cards}}; });
                           if (order != "next") return nothing_here();
                           Body body{text};
                           const std::string choice = body.text("choice");
                           if (const std::string problem = body.problem(); !problem.empty())
                               return error_answer(status::bad_request, problem);
                           return answer_of(boots.set_next_boot(words[0], choice),
                                            [](const boot::BootView& view) { return to_json(view); });
                       }};
    });
}

void add_lease_routes(Routes& routes, boot::LeaseControl& leases, boot::CurrentCatalog& catalog, const Threads& threads) {
    using enum beast_http::verb;
    add_waiting(routes, get, leases_path, "", [&leases, &catalog, threads](const Words&, const std::string&) {
        return Waiting{threads.slow, [&leases, &catalog] {
                           const auto current = catalog.get();
                           json::array list;
                           for (const boot::Lease& lease : leases.leases()) list.push_back(to_json(lease, *current));
                           return json_answer({{"leases", std::move(list)}});
                       }};
    });
    add_waiting(routes, delete_, leases_path, "/", [&leases, &catalog, threads](const Words& words, const std::string&) {
        return Waiting{threads.slow, [&leases, &catalog, words] {
                           const auto address = words.size() == 1 ? Ipv4Address::parse(words[0]) : std::nullopt;
                           if (!address) return error_answer(status::bad_request, "a lease is named by its address");
                           const auto current = catalog.get();
                           return answer_of(leases.release(*address), [&](const boot::Lease& lease) { return to_json(lease, *current); });
                       }};
    });
}

}  // namespace diskless::http
