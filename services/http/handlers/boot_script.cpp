#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>

#include "boot/script.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "services/http/handlers/handlers.hpp"

namespace diskless::http {

void observe_fetch(const Deps& deps, const IpAddress& peer, boot::Step step, std::string detail) {
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

namespace {

using beast_http::status;

Answer script_answer(std::string text) {
    Answer answer{.text = std::move(text)};
    answer.headers.set(beast_http::field::content_type, "text/plain; charset=utf-8");
    answer.headers.set(beast_http::field::cache_control, "no-store");
    return answer;
}

/// One request for a script: who asks, and what for.
class ScriptRequest {
 public:
    ScriptRequest(const Deps& deps, const Asked& asked)
        : deps_{deps},
          asked_{asked},
          catalog_{deps.catalog.get()},
          secrets_{deps.secrets.get()},
          sits_there_{boot::client_at(*catalog_, deps.addresses, asked.peer)} {}

    Answer answer() {
        if (const auto text = asked_.parameter("mac")) {
            mac_ = MacAddress::parse(*text);
            if (!mac_) return plain(status::bad_request, "mac is no MAC address; write for example mac=52-54-00-12-34-01");
            client_ = catalog_->by_mac(*mac_);
        }
        if (client_ == nullptr) client_ = sits_there_;
        if (client_ == nullptr && !deps_.serves_unknown) {
            return plain(status::not_found, "nobody declared this machine; add a [[client]] with its MAC, or see [unknown_clients]");
        }
        const std::string choice = asked_.parameter("choice").value_or("");
        if (choice == "enroll") return enroll();
        if (!choice.empty()) return chosen(choice);
        const bool asks = asked_.request.method() == beast_http::verb::get;
        if (asks && client_ != nullptr && !client_->next_boot.empty() && client_ == sits_there_) return next_boot();
        return script(client_);
    }

 private:
    Answer script(const boot::Client* client) const {
        // Anybody may ask for any client's script; what is secret in it goes to the address of that client alone.
        boot::ScriptSetting setting{.tools = catalog_->data().tools,
                                    .address = asked_.peer.v4(),
                                    .enroll_groups = deps_.orders.enroll_groups,
                                    .enroll_password = !deps_.orders.enroll_password.empty()};
        if (client != nullptr && client_ == sits_there_ && !client->chap.empty()) setting.account = secrets_->find(client->chap.front());
        Answer answer = script_answer(boot::ipxe_script(client, deps_.server, setting));
        const std::string detail =
            client != nullptr ? fmt::format("{} for {}", client->tool.empty() ? boot::name_of(client->boot) : client->tool, client->name)
                              : "menu for a machine nobody declared";
        answer.delivered = [deps = deps_, peer = asked_.peer, detail] { observe_fetch(deps, peer, boot::Step::script, detail); };
        return answer;
    }

    /// The choice is gone from the disk before the machine hears of it. Who comes second is served as always.
    Answer next_boot() const {
        auto as_always = std::make_shared<boot::Client>();
        if (const auto entry = std::ranges::find(catalog_->data().clients, client_->name, &boot::ClientEntry::name);
            entry != catalog_->data().clients.end())
            *as_always = boot::resolve(*entry, catalog_->group(entry->group));
        const std::array<Answer, 2> answers{script(as_always.get()), script(client_)};
        return {.later = [take = deps_.orders.take_next_boot, answers, client = client_->name,
                          choice = client_->next_boot]() -> asio::awaitable<Answer> {
            const bool taken = co_await take(client, choice);
            if (taken) log::info("client.next_boot_used", "client={} choice={}", client, choice);
            co_return answers.at(taken ? 1 : 0);
        }};
    }

    [[nodiscard]] bool knows(const std::string& password) const {
        const std::string given = asked_.parameter("password").value_or("");
        return password.empty() || (given.size() == password.size() && CRYPTO_memcmp(given.data(), password.data(), given.size()) == 0);
    }

    Answer back_to_menu(std::string_view text) const {
        return script_answer(boot::message_script(text, boot::AfterMessage::menu, deps_.server));
    }

    Answer chosen(const std::string& choice) const {
        if (client_ == nullptr) return plain(status::forbidden, "a machine nobody declared has no tools");
        if (!knows(client_->menu.password)) {
            log::warn("menu.wrong_password", "client={} ip={}", client_->name, asked_.peer);
            return back_to_menu("that is not the password");
        }
        const bool offered = std::ranges::find(client_->menu.tools, choice) != client_->menu.tools.end();
        const boot::Tool* tool = offered ? catalog_->tool(choice) : nullptr;
        if (tool != nullptr) return script_answer(boot::tool_script(client_, *tool, deps_.server));
        if (choice == "shell" && client_->boot == boot::BootMethod::menu) return script_answer(boot::shell_script());
        return plain(status::not_found, "that is not in the menu of " + client_->name);
    }

    /// A machine enrols itself, nobody another one: the MAC has to be that of the address it asks from.
    Answer enroll() const {
        const auto there = deps_.addresses.mac_of(asked_.peer);
        if (!mac_ || (there && *there != *mac_) || !deps_.orders.enroll || deps_.orders.enroll_groups.empty())
            return plain(status::forbidden, "a machine is enrolled from its own menu");
        if (!knows(deps_.orders.enroll_password)) {
            log::warn("menu.wrong_password", "mac={} ip={}", *mac_, asked_.peer);
            return back_to_menu("that is not the password");
        }
        return {.later = [enroll = deps_.orders.enroll, server = deps_.server, mac = *mac_,
                          group = asked_.parameter("group").value_or("")]() -> asio::awaitable<Answer> {
            const auto name = co_await enroll(mac, group);
            if (!name)
                co_return script_answer(
                    boot::message_script("not enrolled: " + escaped(name.error().text), boot::AfterMessage::menu, server));
            co_return script_answer(boot::message_script(fmt::format("this machine is {} now, of group {}; it restarts", *name, group),
                                                         boot::AfterMessage::restart, server));
        }};
    }

    const Deps& deps_;
    const Asked& asked_;
    std::shared_ptr<const boot::Catalog> catalog_;
    std::shared_ptr<const boot::ChapSecrets> secrets_;
    const boot::Client* sits_there_;
    const boot::Client* client_ = nullptr;
    std::optional<MacAddress> mac_;
};

}  // namespace

Routes::Handler boot_script_handler(const Deps& deps) {
    return [deps](const Asked& asked) { return ScriptRequest{deps, asked}.answer(); };
}

}  // namespace diskless::http
