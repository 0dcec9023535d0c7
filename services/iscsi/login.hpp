// The login phase as a machine: Login Requests in, Login Responses out, until the session may enter full feature phase or is refused
// (RFC 7143 6.3, 11.12, 11.13). Pure: who is admitted is asked through Admission; the session itself is opened by the caller.
//
//     receive() -> respond   send it, wait for the next request
//               -> complete  open the session, then finish(tsih) or refuse(status), send that
//               -> refuse    send it, close
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "services/iscsi/negotiation.hpp"
#include "services/iscsi/security.hpp"
#include "services/iscsi/wire/responses.hpp"
#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {

/// Who logs in, and to what.
struct LoginIdentity {
    std::string initiator_name;
    std::string initiator_alias;
    std::string target_name;  ///< empty in a discovery session
    SessionType type = SessionType::normal;
    wire::Isid isid;
    std::uint16_t tsih = 0;  ///< nonzero: wants to join a session that exists
    std::uint16_t cid = 0;
};

/// The answer to whoever knocks.
struct Welcome {
    wire::LoginStatus status = wire::LoginStatus::success;
    std::string_view reason = "not_admitted";  ///< of a refusal; static
    SecurityDemand demand;
    std::string moved_to;  ///< "host:port", with LoginStatus::target_moved_temporarily
};

class Admission {
 public:
    virtual ~Admission() = default;
    /// Called once per login, as soon as the names are known.
    [[nodiscard]] virtual Welcome admit(const LoginIdentity& identity) = 0;
    /// The initiator has not proven what was demanded. `why` is static; `user` is what it calls itself, empty when it has not said.
    virtual void authentication_failed(std::string_view why, std::string_view user) = 0;
};

struct LoginReply {
    enum class Next : std::uint8_t { respond, complete, refuse };
    Next next = Next::respond;
    wire::LoginResponse response;
    std::string text;
    std::string_view reason;  ///< of a refusal, for the log; static
};

class Login {
 public:
    explicit Login(const Limits& limits) noexcept : limits_{limits}, negotiation_{limits, SessionType::normal} {}

    [[nodiscard]] LoginReply receive(const wire::LoginRequest& request, std::string_view text, Admission& admission);
    /// Something that is no Login Request came first (RFC 7143 11.13.5, 020b).
    [[nodiscard]] LoginReply unexpected(ByteSpan bhs);
    [[nodiscard]] LoginReply finish(std::uint16_t tsih);
    [[nodiscard]] LoginReply refuse(wire::LoginStatus status, std::string_view reason);

    [[nodiscard]] const LoginIdentity& identity() const noexcept { return identity_; }
    [[nodiscard]] const Parameters& parameters() const noexcept { return negotiation_.parameters(); }
    /// CmdSN of the login: the first command of the full feature phase carries the same.
    [[nodiscard]] std::uint32_t cmd_sn() const noexcept { return request_.cmd_sn; }
    [[nodiscard]] std::uint32_t next_stat_sn() const noexcept { return stat_sn_; }

 private:
    [[nodiscard]] std::optional<LoginReply> wrong_header(const wire::LoginRequest& request);
    [[nodiscard]] std::optional<LoginReply> begin(const std::vector<wire::TextKey>& keys, Admission& admission, std::string& answer);
    [[nodiscard]] std::optional<LoginReply> answer_keys(const std::vector<wire::TextKey>& keys, Admission& admission, std::string& answer);
    [[nodiscard]] LoginReply unproven(Admission& admission, std::string_view why);
    [[nodiscard]] LoginReply advance(const std::vector<wire::TextKey>& keys, Admission& admission, std::string answer);
    [[nodiscard]] wire::LoginResponse response();

    Limits limits_;
    Negotiation negotiation_;
    SecurityNegotiation security_;
    LoginIdentity identity_;
    wire::LoginRequest request_;  // the current one
    wire::Stage stage_ = wire::Stage::security_negotiation;
    std::string collected_;  // text of requests with the C bit
    std::set<std::string, std::less<>> seen_;
    std::uint32_t stat_sn_ = 0;
    bool started_ = false;     // the first request has been seen
    bool identified_ = false;  // names known, admitted
    bool declared_ = false;    // our MaxRecvDataSegmentLength has been sent
};

}  // namespace diskless::iscsi
