// Connection: what a login and a session ask of the world around them (EndpointHost).
#include <openssl/rand.h>

#include <array>
#include <utility>

#include "common/log.hpp"
#include "common/text.hpp"
#include "services/iscsi/connection.hpp"
#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {
namespace {

using wire::LoginStatus;

/// How the ISIDs of operating systems begin: open-iscsi's with Intel's OUI (type 0, 00 02 3d), Windows' with Microsoft's enterprise number
/// (type 1, 311). Firmware uses random numbers, its MAC, or (iPXE) another number.
constexpr std::array open_iscsi_isid = {std::byte{0x00}, std::byte{0x02}, std::byte{0x3d}};
constexpr std::array windows_isid = {std::byte{0x40}, std::byte{0x00}, std::byte{0x01}, std::byte{0x37}};

/// Twice the 128 bits of the shortest algorithm, and short enough for any initiator's buffer.
constexpr std::size_t challenge_bytes = 32;

std::string initiator_port(const LoginIdentity& identity) {
    return fmt::format("{},i,0x{}", identity.initiator_name, print_isid(identity.isid));
}

}  // namespace

bool Connection::is_system() const noexcept {
    const std::span<const std::byte> isid = endpoint_.login()->identity().isid.octets;
    return std::ranges::equal(isid.first(open_iscsi_isid.size()), open_iscsi_isid) ||
           std::ranges::equal(isid.first(windows_isid.size()), windows_isid);
}

Welcome Connection::admit(const LoginIdentity& identity) {
    if (identity.tsih != 0) {
        return {.status = shared_->sessions.exists(identity) ? LoginStatus::too_many_connections : LoginStatus::session_does_not_exist};
    }
    if (identity.type == SessionType::discovery) return demand_proof(shared_->config.discovery_auth, identity);
    const auto catalog = shared_->catalog.get();
    const AccessRules rules{*catalog, shared_->addresses, shared_->config.target_prefix};
    admitted_ = rules.admit(identity.target_name, {.initiator_name = identity.initiator_name, .address = peer_address_});
    if (admitted_.status == LoginStatus::success) return demand_proof(admitted_.chap, identity);
    if (admitted_.status == LoginStatus::target_moved_temporarily) {
        log::info("session.redirected", "initiator={} target={} from={} to={}", escaped(identity.initiator_name), admitted_.target.iqn,
                  peer_, admitted_.redirect);
        return {.status = admitted_.status, .moved_to = admitted_.redirect};
    }
    shared_->counters.refused.add();
    if (shared_->refusals.allow()) {
        log::warn("session.refused", "initiator={} target={} from={} reason={} remedy=\"{}\"", escaped(identity.initiator_name),
                  escaped(identity.target_name), peer_, admitted_.reason, admitted_.remedy);
    }
    return {.status = admitted_.status};
}

/// What `users` mean for this login: nothing, one of their secrets, or to come back later after too many wrong ones.
Welcome Connection::demand_proof(const std::vector<std::string>& users, const LoginIdentity& identity) {
    if (users.empty()) return {};
    if (shared_->auth.is_blocked(peer_address_, admitted_.target.iqn)) {
        shared_->counters.auth_blocked.add();
        shared_->counters.refused.add();
        if (shared_->refusals.allow()) {
            log::warn("login.auth_blocked", "initiator={} target={} from={} remedy=\"correct the secret there, then wait {} s\"",
                      escaped(identity.initiator_name), target_or_discovery(), peer_, AuthLimit::window.count());
        }
        return {.status = LoginStatus::service_unavailable};
    }
    Welcome welcome{
        .demand = {
            .chap = true, .accounts = shared_->secrets.get()->of(users), .algorithms = shared_->config.chap_algorithms, .challenge = {}}};
    std::array<std::byte, 1 + challenge_bytes> random{};
    // Without random numbers nobody can prove anything: a challenge that is known is none.
    if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), random.size()) != 1) return {.status = LoginStatus::target_error};
    welcome.demand.challenge = {.identifier = std::to_integer<std::uint8_t>(random[0]), .bytes = {random.begin() + 1, random.end()}};
    return welcome;
}

std::string_view Connection::target_or_discovery() const noexcept {
    return admitted_.target.iqn.empty() ? std::string_view{"discovery"} : admitted_.target.iqn;
}

void Connection::authentication_failed(std::string_view why, std::string_view user) {
    auth_failed_ = true;
    shared_->auth.failed(peer_address_, admitted_.target.iqn);
    shared_->counters.auth_failed.add();
    shared_->counters.refused.add();
    if (!shared_->auth_failures.allow()) return;
    log::warn("login.auth_failed", "initiator={} target={} user={} from={} reason={}",
              escaped(endpoint_.login()->identity().initiator_name), target_or_discovery(), user.empty() ? "-" : escaped(user), peer_, why);
}

void Connection::open_session(const Login&) {
    opening_ = true;
    spawn_(strand_, [self = shared_from_this()] { return self->begin_session(); });
}

/// Opens the target, drops a session that this one replaces, and only then lets the answer leave (RFC 7143 6.3.5).
asio::awaitable<void> Connection::begin_session() {
    LoginIdentity identity = endpoint_.login()->identity();
    shared_->auth.proven(peer_address_, admitted_.target.iqn);
    LoginStatus status = LoginStatus::success;
    std::string_view reason;
    SessionRegistry::Claim claim;
    if (identity.type == SessionType::normal) {
        identity.target_name = admitted_.target.iqn;
        auto opened = co_await shared_->targets.open(admitted_.target, !is_system());
        if (opened) {
            target_ = std::move(*opened);
        } else {
            log::error("target.unavailable", "target={} error=\"{}\"", admitted_.target.iqn, opened.error());
            status = LoginStatus::service_unavailable;
            reason = "target_unavailable";
        }
    }
    if (status == LoginStatus::success && !lost_) {
        claim = shared_->sessions.claim({.identity = identity,
                                         .address = peer_,
                                         .parameters = endpoint_.login()->parameters(),
                                         .since = Clock::now(),
                                         .statistics = statistics_,
                                         .connection = weak_from_this()});
        tsih_ = claim.tsih;
        if (tsih_ == 0) {
            status = LoginStatus::out_of_resources;
            reason = "max_sessions";
        }
    }
    if (claim.reinstated && !co_await await_end(std::move(claim.reinstated), shared_->config.login_timeout)) {
        status = LoginStatus::service_unavailable;
        reason = "old_session_still_busy";
    }
    opening_ = false;
    if (lost_ || stopping_) {
        lose("server_stops");
    } else if (status != LoginStatus::success) {
        shared_->counters.refused.add();
        endpoint_.refuse(status, reason);
    } else {
        nexus_ = {.id = shared_->next_nexus.fetch_add(1), .initiator_port = initiator_port(identity)};
        if (target_) target_->units().attach(nexus_);
        endpoint_.open({.nexus = &nexus_, .units = target_ ? &target_->units() : nullptr}, tsih_);
        shared_->counters.logins.add();
        shared_->counters.sessions.add();
        log::info("session.opened", "initiator={} target={} from={} isid={} tsih={}", escaped(identity.initiator_name),
                  target_ ? target_->iqn() : "discovery", peer_, print_isid(identity.isid), tsih_);
        if (target_) observe(is_system() ? boot::Step::system_login : boot::Step::login);
        // A machine that was switched off and on again looks just like this: the kernel finds out whether its old self is still there.
        for (const auto& sibling : claim.siblings) sibling->probe(shared_->config.probe_timeout);
    }
    settle();
}

/// Drops `other` and waits until nothing is left of it; false: it takes longer than `limit`.
asio::awaitable<bool> Connection::await_end(std::shared_ptr<Connection> other, Clock::duration limit) {
    const auto ended = std::make_shared<asio::steady_timer>(strand_, limit);
    other->when_ended([ended, strand = strand_] { asio::post(strand, [ended] { ended->cancel(); }); });
    other->drop("reinstated");
    auto [clock] = co_await ended->async_wait(nothrow_await);
    co_return clock == asio::error::operation_aborted;
}

std::optional<std::string> Connection::send_targets(std::string_view value) {
    std::vector<std::string> names;
    if (target_) {
        if (!value.empty() && !same_name(value, target_->iqn())) return std::nullopt;
        names.push_back(target_->iqn());
    } else {
        const auto catalog = shared_->catalog.get();
        const AccessRules rules{*catalog, shared_->addresses, shared_->config.target_prefix};
        names = rules.visible_targets({.initiator_name = endpoint_.login()->identity().initiator_name, .address = peer_address_});
        if (value.empty()) return std::nullopt;
        if (value != "All") std::erase_if(names, [&](const std::string& name) { return !same_name(name, value); });
    }
    std::string answer;
    for (const std::string& name : names) {
        wire::append_text(answer, "TargetName", name);
        wire::append_text(answer, "TargetAddress", fmt::format("{},{}", local_, target_portal_group_tag));
    }
    return answer;
}

void Connection::abort_others(AbortScope scope, std::function<void()> then) {
    // Released by the last session that has nothing aborted left; with no other session, at the end of this function.
    const std::shared_ptr<void> done{nullptr, [self = shared_from_this(), then = std::move(then)](void*) mutable {
                                         asio::post(self->strand_, [self, then = std::move(then)] {
                                             then();
                                             self->settle();
                                         });
                                     }};
    for (const auto& other : shared_->sessions.others(target_->iqn(), tsih_)) other->abort(scope, done);
}

void Connection::drop_others() {
    for (const auto& other : shared_->sessions.others(target_->iqn(), tsih_)) other->drop("target_cold_reset");
}

void Connection::first_access(bool write) {
    if (write == is_system()) observe(write ? boot::Step::first_write : boot::Step::first_read);
}

void Connection::observe(boot::Step step) {
    const auto ref = target_->ref();
    if (ref.kind != TargetRef::Kind::client || !ref.mac) return;
    shared_->observer.observe({.step = step,
                               .mac = *ref.mac,
                               .client = ref.name,
                               .detail = fmt::format("{} from {}", escaped(endpoint_.login()->identity().initiator_name), peer_),
                               .at = std::chrono::system_clock::now()});
}

}  // namespace diskless::iscsi
