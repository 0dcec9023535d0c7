#include <fmt/format.h>

#include "boot/script.hpp"
#include "services/http/handlers/handlers.hpp"

namespace diskless::http {

void observe_fetch(const Deps& deps, Ipv4Address peer, boot::Step step, std::string detail) {
    const auto catalog = deps.catalog.get();
    const boot::Client* client = boot::client_at(*catalog, deps.addresses, peer);
    auto mac = deps.addresses.mac_of(peer);
    if (!mac && client != nullptr && !client->macs.empty()) mac = client->macs.front();
    if (!mac) return;
    deps.observer.observe({.step = step,
                           .mac = *mac,
                           .client = client != nullptr ? client->name : "",
                           .detail = std::move(detail),
                           .at = std::chrono::system_clock::now()});
}

Routes::Handler boot_script_handler(const Deps& deps) {
    return [deps](const Asked& asked) {
        const auto catalog = deps.catalog.get();
        const boot::Client* client = nullptr;
        std::optional<MacAddress> mac;
        if (const auto text = asked.parameter("mac")) {
            mac = MacAddress::parse(*text);
            if (!mac) return plain(beast_http::status::bad_request, "mac is no MAC address; write for example mac=52-54-00-12-34-01");
            client = catalog->by_mac(*mac);
        }
        const boot::Client* const sits_there = boot::client_at(*catalog, deps.addresses, asked.peer);
        if (client == nullptr) client = sits_there;
        if (client == nullptr && !deps.serves_unknown) {
            return plain(beast_http::status::not_found,
                         "nobody declared this machine; add a [[client]] with its MAC, or see [unknown_clients]");
        }
        // Anybody may ask for any client's script; what is secret in it goes to the address of that client alone.
        const auto secrets = deps.secrets.get();
        const boot::ChapAccount* account = nullptr;
        if (client != nullptr && client == sits_there && !client->chap.empty()) account = secrets->find(client->chap.front());
        Answer answer{.text = boot::ipxe_script(client, deps.server, account)};
        answer.headers.set(beast_http::field::content_type, "text/plain; charset=utf-8");
        answer.headers.set(beast_http::field::cache_control, "no-store");
        const std::string detail =
            client != nullptr ? fmt::format("{} for {}", boot::name_of(client->boot), client->name) : "menu for a machine nobody declared";
        answer.delivered = [deps, peer = asked.peer, detail] { observe_fetch(deps, peer, boot::Step::script, detail); };
        return answer;
    };
}

}  // namespace diskless::http
