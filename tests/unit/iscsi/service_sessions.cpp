// Sessions of the real service over loopback: who gets in, what replaces whom, what an abort is worth, and how it all ends.
#include <doctest/doctest.h>

#include <future>
#include <thread>

#include "tests/unit/iscsi/held_device.hpp"
#include "tests/unit/iscsi/serving.hpp"

using namespace diskless;
using namespace diskless::test;
using wire::LoginStatus;
using wire::Opcode;

namespace {

constexpr std::uint8_t good = 0x00;
const wire::Isid firmware_isid{{std::byte{0x80}, std::byte{1}, std::byte{2}}};
const wire::Isid linux_isid{{std::byte{0x00}, std::byte{0x02}, std::byte{0x3d}, std::byte{7}}};

wire::TaskFunctionResponse manage(RawInitiator& initiator, wire::TaskManagementRequest request) {
    request.initiator_task_tag = initiator.next_tag++;
    request.cmd_sn = initiator.cmd_sn;
    initiator.send(make_pdu(request));
    const auto answer = initiator.receive();
    REQUIRE(answer->opcode() == Opcode::task_management_response);
    return wire::TaskManagementResponse::decode(answer->bhs).response;
}

std::shared_ptr<HeldDevice> hold_disk(Serving& serving) {
    auto device = std::make_shared<HeldDevice>();
    serving.luns.device_for(serving.client_target("desk-01"), 0) = device;
    return device;
}

/// The session list follows the sockets a moment later: a login of our own comes after it in every case.
std::size_t sessions_after_a_login(Serving& serving) {
    RawInitiator probe{serving.port()};
    REQUIRE(probe.login("iqn.2026-11.test:probe", "").status == LoginStatus::success);
    std::size_t others = 0;
    for (const auto& session : serving.service->sessions()) others += session.initiator != "iqn.2026-11.test:probe" ? 1 : 0;
    return others;
}

}  // namespace

TEST_CASE("who may log in") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    const auto status = [&](const std::string& name, const std::string& target) { return initiator.login(name, target).status; };

    SUBCASE("a client its own target") {
        CHECK(status(serving.client_initiator("desk-01"), serving.client_target("desk-01")) == LoginStatus::success);
        CHECK(initiator.login_text.find("TargetPortalGroupTag=1") != std::string::npos);
    }
    SUBCASE("not another one's") {
        CHECK(status(serving.client_initiator("desk-01"), serving.client_target("desk-02")) == LoginStatus::authorization_failure);
    }
    SUBCASE("a name the client allows") {
        CHECK(status("iqn.1993-08.org.debian:01:abc", serving.client_target("desk-02")) == LoginStatus::success);
    }
    SUBCASE("a target that is not there") {
        CHECK(status(serving.client_initiator("desk-01"), serving.client_target("desk-99")) == LoginStatus::target_not_found);
    }
    SUBCASE("a shared target by its list") {
        CHECK(status("iqn.2026-11.test:x", serving.client_target("scratch")) == LoginStatus::success);
    }
    SUBCASE("and nobody else") {
        CHECK(status("iqn.2020-01.other:x", serving.client_target("scratch")) == LoginStatus::authorization_failure);
    }
    SUBCASE("an empty list is nobody") {
        CHECK(status("iqn.2026-11.test:x", serving.client_target("nobodys")) == LoginStatus::authorization_failure);
    }
    SUBCASE("the right name from the wrong address") {
        serving.addresses.bind(*Ipv4Address::parse("127.0.0.99"), *MacAddress::parse("52:54:00:12:34:02"));
        CHECK(status(serving.client_initiator("desk-02"), serving.client_target("desk-02")) == LoginStatus::authorization_failure);
    }
    SUBCASE("the right name from its leased address") {
        serving.addresses.bind(*Ipv4Address::parse("127.0.0.1"), *MacAddress::parse("52:54:00:12:34:02"));
        CHECK(status(serving.client_initiator("desk-02"), serving.client_target("desk-02")) == LoginStatus::success);
    }
    SUBCASE("a disk that cannot be opened") {
        serving.luns.broken = true;
        CHECK(status(serving.client_initiator("desk-01"), serving.client_target("desk-01")) == LoginStatus::service_unavailable);
        CHECK(initiator.is_closed());
    }
}

TEST_CASE("discovery shows what this initiator may use, and only that") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(initiator.login(serving.client_initiator("desk-01"), "").status == LoginStatus::success);
    CHECK(initiator.login_text.find("TargetPortalGroupTag") == std::string::npos);
    const auto ask = [&](const char* value) {
        initiator.send(make_pdu(wire::TextRequest{.initiator_task_tag = initiator.next_tag++, .cmd_sn = initiator.cmd_sn++},
                                text_segment({{"SendTargets", value}})));
        return initiator.receive()->text();
    };
    const std::string own =
        "TargetName=" + serving.client_target("desk-01") + '\0' + "TargetAddress=127.0.0.1:" + std::to_string(serving.port()) + ",1" + '\0';
    CHECK(ask("All") == own);
    CHECK(ask(serving.client_target("desk-01").c_str()) == own);
    CHECK(ask(serving.client_target("scratch").c_str()).empty());
    initiator.send(make_pdu(initiator.command({0}, 0, false, false)));
    CHECK(initiator.receive()->opcode() == Opcode::reject);
}

TEST_CASE("a session's own SendTargets") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    initiator.send(
        make_pdu(wire::TextRequest{.initiator_task_tag = 77, .cmd_sn = initiator.cmd_sn++}, text_segment({{"SendTargets", ""}})));
    CHECK(initiator.receive()->text().find(serving.client_target("desk-01")) != std::string::npos);
    initiator.send(make_pdu(wire::TextRequest{.initiator_task_tag = 78, .cmd_sn = initiator.cmd_sn++},
                            text_segment({{"SendTargets", "All"}, {"X-what", "1"}})));
    CHECK(initiator.receive()->text() == std::string{"SendTargets=Reject\0X-what=NotUnderstood\0", 40});
}

TEST_CASE("the same name and ISID replaces the old session before the new one is answered") {
    Serving serving;
    auto disk = hold_disk(serving);
    RawInitiator first{serving.port()};
    REQUIRE(serving.login(first, {}, firmware_isid).status == LoginStatus::success);
    first.clear_attention();
    disk->hold();
    first.send(make_pdu(first.command(write_10(0, 1), 512, false, true), pattern(512)));
    disk->await_held(1);

    RawInitiator second{serving.port()};
    std::thread release{[&] {
        CHECK(first.is_closed());  // the old one ends at once …
        disk->release();           // … but as long as its write is with the disk, nobody is told that it is over
    }};
    CHECK(serving.login(second, {}, firmware_isid).status == LoginStatus::success);
    CHECK(disk->held() == 0);
    release.join();
    CHECK(second.read(0, 1).status != 0xff);
    CHECK(sessions_after_a_login(serving) == 1);
}

TEST_CASE("the same name with another ISID is never refused") {
    Serving serving;
    RawInitiator firmware{serving.port()}, system{serving.port()};
    REQUIRE(serving.login(firmware, {}, firmware_isid).status == LoginStatus::success);
    REQUIRE(serving.login(system, {}, linux_isid).status == LoginStatus::success);
    firmware.clear_attention();
    system.clear_attention();
    CHECK(firmware.read(0, 1).status == good);
    CHECK(system.read(0, 1).status == good);
    const Bytes data = pattern(512);
    CHECK(firmware.write(0, data, 512).status == good);
    CHECK(system.write(0, data, 512).status == good);
    CHECK(serving.service->sessions().size() == 2);
    CHECK(serving.observer.steps() ==
          std::vector{boot::Step::login, boot::Step::system_login, boot::Step::first_read, boot::Step::first_write});
}

TEST_CASE("the old session of an initiator is asked for a sign of life, not killed") {
    Serving serving;
    RawInitiator firmware{serving.port()}, system{serving.port()};
    REQUIRE(serving.login(firmware, {}, firmware_isid).status == LoginStatus::success);
    REQUIRE(serving.login(system, {}, linux_isid).status == LoginStatus::success);
    const auto ping = firmware.receive();
    REQUIRE(ping->opcode() == Opcode::nop_in);
    const auto nop = wire::NopIn::decode(ping->bhs);
    CHECK(nop.initiator_task_tag == wire::reserved_tag);
    CHECK(nop.target_transfer_tag != wire::reserved_tag);
    CHECK(nop.numbers.stat_sn == firmware.exp_stat_sn);  // not advanced
    firmware.clear_attention();
    CHECK(firmware.read(0, 1).status == good);  // iPXE never answers, and lives
}

TEST_CASE("ABORT TASK is answered when the task can do no more harm") {
    Serving serving;
    auto disk = hold_disk(serving);
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    initiator.clear_attention();
    disk->hold();
    const auto command = initiator.command(read_10(0, 8), 4096, true, false);
    initiator.send(make_pdu(command));
    disk->await_held(1);
    initiator.send(make_pdu(wire::TaskManagementRequest{
        .initiator_task_tag = 900, .referenced_task_tag = command.initiator_task_tag, .cmd_sn = initiator.cmd_sn}));
    initiator.send(make_pdu(wire::NopOut{.initiator_task_tag = 901, .cmd_sn = initiator.cmd_sn}));
    CHECK(initiator.receive()->opcode() == Opcode::nop_in);  // the abort is not answered yet
    disk->release();
    const auto answer = initiator.receive();
    REQUIRE(answer->opcode() == Opcode::task_management_response);
    CHECK(wire::TaskManagementResponse::decode(answer->bhs).response == wire::TaskFunctionResponse::function_complete);
    CHECK(initiator.test_unit_ready().status == good);  // and no answer of the aborted read came in between
}

TEST_CASE("Data-Out after an abort is dropped") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator, {{"ImmediateData", "No"}}).status == LoginStatus::success);
    initiator.clear_attention();
    const auto command = initiator.command(write_10(0, 1), 512, false, true);
    initiator.send(make_pdu(command));
    const auto r2t = wire::R2t::decode(initiator.receive()->bhs);
    CHECK(manage(initiator, {.referenced_task_tag = command.initiator_task_tag}) == wire::TaskFunctionResponse::function_complete);
    initiator.send_data_out(command.initiator_task_tag, r2t.target_transfer_tag, pattern(512), 0, 512);
    CHECK(initiator.test_unit_ready().status == good);
    CHECK(initiator.read(0, 1).data == Bytes(512));
}

TEST_CASE("task management answers") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    using F = wire::TaskFunction;
    using R = wire::TaskFunctionResponse;
    CHECK(manage(initiator, {.function = F::abort_task, .referenced_task_tag = 4711}) == R::task_does_not_exist);
    CHECK(manage(initiator, {.function = F::abort_task_set}) == R::function_complete);
    CHECK(manage(initiator, {.function = F::abort_task_set, .lun = wire::lun_field(9)}) == R::lun_does_not_exist);
    CHECK(manage(initiator, {.function = F::clear_task_set}) == R::function_complete);
    CHECK(manage(initiator, {.function = F::logical_unit_reset}) == R::function_complete);
    CHECK(manage(initiator, {.function = F::logical_unit_reset, .lun = wire::lun_field(9)}) == R::lun_does_not_exist);
    CHECK(manage(initiator, {.function = F::target_warm_reset}) == R::function_complete);
    CHECK(manage(initiator, {.function = F::clear_aca}) == R::function_not_supported);
    CHECK(manage(initiator, {.function = F::task_reassign}) == R::reassignment_not_supported);
    CHECK(manage(initiator, {.function = static_cast<F>(99)}) == R::function_rejected);
    CHECK(manage(initiator, {.function = F::target_cold_reset}) == R::function_complete);
    CHECK(initiator.is_closed());
}

TEST_CASE("a reset takes the tasks of every session with it") {
    Serving serving;
    auto disk = hold_disk(serving);
    RawInitiator one{serving.port()}, other{serving.port()};
    REQUIRE(serving.login(one, {}, firmware_isid).status == LoginStatus::success);
    REQUIRE(serving.login(other, {}, linux_isid).status == LoginStatus::success);
    one.clear_attention();
    other.clear_attention();
    disk->hold();
    other.send(make_pdu(other.command(read_10(0, 8), 4096, true, false)));
    disk->await_held(1);
    one.send(make_pdu(
        wire::TaskManagementRequest{.function = wire::TaskFunction::logical_unit_reset, .initiator_task_tag = 900, .cmd_sn = one.cmd_sn}));
    one.send(make_pdu(wire::NopOut{.initiator_task_tag = 901, .cmd_sn = one.cmd_sn}));
    CHECK(one.receive()->opcode() == Opcode::nop_in);
    disk->release();
    for (;;) {  // pings may come in between
        const auto pdu = one.receive();
        if (pdu->opcode() == Opcode::nop_in) continue;
        CHECK(pdu->opcode() == Opcode::task_management_response);
        break;
    }
    const auto after = other.test_unit_ready();
    CHECK(after.status == 0x02);  // reset by another initiator; the aborted read is never answered
    REQUIRE(after.sense.size() > 12);
    CHECK(after.sense[12] == std::byte{0x29});
}

TEST_CASE("a command outside the window is dropped without a word, a gap ends the session") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    initiator.clear_attention();
    auto far = initiator.command({0}, 0, false, false);
    --initiator.cmd_sn;
    far.cmd_sn = initiator.max_cmd_sn + 1;
    initiator.send(make_pdu(far));
    auto old = far;
    old.cmd_sn = initiator.cmd_sn - 1;
    initiator.send(make_pdu(old));
    CHECK(initiator.test_unit_ready().status == good);
    initiator.cmd_sn += 1;
    initiator.send(make_pdu(initiator.command({0}, 0, false, false)));
    CHECK(initiator.is_closed());
}

TEST_CASE("NOP-Out is echoed, unless it wants no answer") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    initiator.send(make_pdu(wire::NopOut{.cmd_sn = initiator.cmd_sn}));
    const Bytes ping = pattern(33);
    initiator.send(make_pdu(wire::NopOut{.initiator_task_tag = 5, .cmd_sn = initiator.cmd_sn}, ping));
    const auto pong = initiator.receive();
    REQUIRE(pong->opcode() == Opcode::nop_in);
    CHECK(wire::NopIn::decode(pong->bhs).initiator_task_tag == 5);
    CHECK(wire::NopIn::decode(pong->bhs).target_transfer_tag == wire::reserved_tag);
    CHECK(pong->data == ping);
}

TEST_CASE("what is refused with a Reject, the header of the culprit inside") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    const auto reason = [&](const Pdu& pdu) {
        initiator.send(pdu);
        const auto answer = initiator.receive();
        REQUIRE(answer->opcode() == Opcode::reject);
        CHECK(answer->data == Bytes{pdu.bhs.begin(), pdu.bhs.end()});
        return wire::Reject::decode(answer->bhs).reason;
    };
    Pdu snack;
    snack.bhs[0] = std::byte{0x10};
    CHECK(reason(snack) == wire::RejectReason::snack_reject);
    Pdu unknown;
    unknown.bhs[0] = std::byte{0x1c};
    CHECK(reason(unknown) == wire::RejectReason::command_not_supported);
    CHECK(reason(make_pdu(wire::LoginRequest{})) == wire::RejectReason::protocol_error);
    auto tagless = initiator.command({0}, 0, false, false);
    tagless.initiator_task_tag = wire::reserved_tag;
    CHECK(reason(make_pdu(tagless)) == wire::RejectReason::invalid_pdu_field);
    CHECK(reason(make_pdu(wire::TextRequest{.initiator_task_tag = 9, .target_transfer_tag = 1234, .cmd_sn = initiator.cmd_sn++})) ==
          wire::RejectReason::protocol_error);
}

TEST_CASE("Data-Out that is not what was asked for never ends in GOOD") {
    Serving serving;
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator, {{"ImmediateData", "No"}}).status == LoginStatus::success);
    initiator.clear_attention();
    struct Case {
        const char* what;
        std::uint32_t data_sn, offset, length;
        bool final;
    };
    for (const Case& wrong : {Case{"DataSN", 1, 0, 1024, true}, Case{"offset", 0, 512, 512, true}, Case{"too much", 0, 0, 2048, true},
                              Case{"F too early", 0, 0, 512, true}, Case{"F missing", 0, 0, 1024, false}}) {
        CAPTURE(wrong.what);
        const auto command = initiator.command(write_10(50, 2), 1024, false, true);
        initiator.send(make_pdu(command));
        const auto r2t = wire::R2t::decode(initiator.receive()->bhs);
        initiator.send(make_pdu(wire::DataOut{.final = wrong.final,
                                              .initiator_task_tag = command.initiator_task_tag,
                                              .target_transfer_tag = r2t.target_transfer_tag,
                                              .data_sn = wrong.data_sn,
                                              .buffer_offset = wrong.offset},
                                pattern(wrong.length)));
        const auto answer = initiator.receive();
        REQUIRE(answer->opcode() == Opcode::scsi_response);
        CHECK(wire::ScsiResponse::decode(answer->bhs).status == 0x02);
    }
    CHECK(initiator.read(50, 2).data == Bytes(1024));
}

TEST_CASE("logout: everything under way ends, then the answer, then the connection") {
    Serving serving;
    auto disk = hold_disk(serving);
    RawInitiator initiator{serving.port()};
    REQUIRE(serving.login(initiator).status == LoginStatus::success);
    initiator.clear_attention();
    initiator.send(make_pdu(
        wire::LogoutRequest{.reason = wire::LogoutReason::remove_for_recovery, .initiator_task_tag = 1, .cmd_sn = initiator.cmd_sn}));
    CHECK(wire::LogoutResponse::decode(initiator.receive()->bhs).response == wire::LogoutResponseCode::recovery_not_supported);
    initiator.send(make_pdu(wire::LogoutRequest{
        .reason = wire::LogoutReason::close_connection, .initiator_task_tag = 1, .cid = 9, .cmd_sn = initiator.cmd_sn}));
    CHECK(wire::LogoutResponse::decode(initiator.receive()->bhs).response == wire::LogoutResponseCode::cid_not_found);
    disk->hold();
    initiator.send(make_pdu(initiator.command(read_10(0, 1), 512, true, false)));
    disk->await_held(1);
    // Both arrive together, so the answer to the first shows that the second has been seen.
    Bytes both = encode(make_pdu(wire::NopOut{.initiator_task_tag = 2, .cmd_sn = initiator.cmd_sn}));
    const Bytes logout = encode(make_pdu(wire::LogoutRequest{.initiator_task_tag = 3, .cmd_sn = initiator.cmd_sn}));
    both.insert(both.end(), logout.begin(), logout.end());
    initiator.send_bytes(both);
    CHECK(initiator.receive()->opcode() == Opcode::nop_in);
    disk->release();
    const auto answer = initiator.receive();
    REQUIRE(answer->opcode() == Opcode::logout_response);
    CHECK(wire::LogoutResponse::decode(answer->bhs).response == wire::LogoutResponseCode::success);
    CHECK(initiator.is_closed());
}

TEST_CASE("limits: sessions, silence, and what comes before a login") {
    SUBCASE("sessions") {
        Serving serving{{.max_sessions = 1}};
        RawInitiator first{serving.port()}, second{serving.port()}, again{serving.port()};
        CHECK(serving.login(first, {}, firmware_isid).status == LoginStatus::success);
        CHECK(serving.login(second, {}, linux_isid).status == LoginStatus::out_of_resources);
        CHECK(serving.login(again, {}, firmware_isid).status == LoginStatus::success);  // replacing one needs no room
    }
    SUBCASE("connections") {
        Serving serving{{.max_connections = 1}};
        RawInitiator first{serving.port()};
        CHECK(serving.login(first).status == LoginStatus::success);
        RawInitiator second{serving.port()};
        CHECK(second.is_closed());
    }
    SUBCASE("a silent connection") {
        Serving serving{{.login_timeout = std::chrono::milliseconds{1}}};
        RawInitiator silent{serving.port()};
        CHECK(silent.is_closed());
    }
    SUBCASE("a command instead of a login") {
        Serving serving;
        RawInitiator initiator{serving.port()};
        initiator.send(make_pdu(initiator.command({0}, 0, false, false)));
        const auto answer = initiator.receive();
        REQUIRE(answer->opcode() == Opcode::login_response);
        CHECK(wire::LoginResponse::decode(answer->bhs).status == LoginStatus::invalid_during_login);
        CHECK(initiator.is_closed());
    }
    SUBCASE("joining a session") {
        Serving serving;
        RawInitiator initiator{serving.port()};
        initiator.send(make_pdu(wire::LoginRequest{.transit = true,
                                                   .current_stage = wire::Stage::login_operational_negotiation,
                                                   .next_stage = wire::Stage::full_feature_phase,
                                                   .tsih = 99},
                                text_segment({{"InitiatorName", "iqn.x:y"}, {"TargetName", serving.client_target("desk-01")}})));
        CHECK(wire::LoginResponse::decode(initiator.receive()->bhs).status == LoginStatus::session_does_not_exist);
    }
}

TEST_CASE("memory runs short: everybody is served, one after the other") {
    Serving serving{{.buffer_bytes = 1u << 20}};
    RawInitiator one{serving.port()}, other{serving.port()};
    REQUIRE(serving.login(one, {}, firmware_isid).status == LoginStatus::success);
    REQUIRE(serving.login(other, {}, linux_isid).status == LoginStatus::success);
    one.clear_attention();
    other.clear_attention();
    constexpr unsigned commands = 16;
    constexpr std::uint16_t blocks = 1024;  // half a MiB each: the pool has room for one at a time
    for (unsigned at = 0; at < commands; ++at) {
        one.send(make_pdu(one.command(read_10(0, blocks), blocks * block_bytes, true, false)));
        other.send(make_pdu(other.command(read_10(0, blocks), blocks * block_bytes, true, false)));
    }
    // A peer that does not read keeps its memory, so both read at once.
    const auto read_all = [](RawInitiator& initiator) {
        unsigned done = 0;
        while (done < commands) {
            const auto pdu = initiator.receive();
            if (!pdu) break;
            if (pdu->opcode() == Opcode::data_in && wire::DataIn::decode(pdu->bhs).has_status) ++done;
        }
        return done;
    };
    auto others = std::async(std::launch::async, [&] { return read_all(other); });
    CHECK(read_all(one) == commands);
    CHECK(others.get() == commands);
}

TEST_CASE("a peer that does not read its answers gives way when others need the memory") {
    Serving serving{{.buffer_bytes = 1u << 20, .probe_timeout = std::chrono::milliseconds{1}}};
    RawInitiator stuck{serving.port()}, other{serving.port()};
    REQUIRE(serving.login(stuck, {}, firmware_isid).status == LoginStatus::success);
    stuck.clear_attention();
    constexpr std::uint16_t blocks = 1024;
    for (unsigned at = 0; at < 64; ++at) stuck.send(make_pdu(stuck.command(read_10(0, blocks), blocks * block_bytes, true, false)));
    REQUIRE(other.login("iqn.2026-11.test:x", serving.client_target("scratch")).status == LoginStatus::success);
    other.clear_attention();
    CHECK(other.read(0, blocks).status == good);
}

TEST_CASE("stop: initiators are asked to log out, what the disk still has is answered, then the connection ends") {
    for (const bool logs_out : {true, false}) {
        CAPTURE(logs_out);
        Serving serving{{.logout_timeout = logs_out ? std::chrono::seconds{30} : std::chrono::seconds{0}}};
        auto disk = hold_disk(serving);
        RawInitiator initiator{serving.port()};
        REQUIRE(serving.login(initiator).status == LoginStatus::success);
        initiator.clear_attention();
        disk->hold();
        initiator.send(make_pdu(initiator.command(read_10(0, 1), 512, true, false)));
        disk->await_held(1);
        serving.service->stop();
        const auto request = initiator.receive();
        REQUIRE(request);
        REQUIRE(request->opcode() == Opcode::async_message);
        CHECK(wire::AsyncMessage::decode(request->bhs).event == wire::AsyncEvent::logout_request);
        disk->release();
        const auto data = initiator.receive();
        REQUIRE(data);
        CHECK(data->opcode() == Opcode::data_in);
        if (logs_out) {
            initiator.send(make_pdu(wire::LogoutRequest{.initiator_task_tag = 99, .cmd_sn = initiator.cmd_sn}));
            const auto answer = initiator.receive();
            REQUIRE(answer);
            CHECK(answer->opcode() == Opcode::logout_response);
        }
        CHECK(initiator.is_closed());
    }
}

TEST_CASE("reload: a client that is gone loses its session, a changed LUN list is announced") {
    Serving serving;
    RawInitiator gone{serving.port()}, stays{serving.port()};
    REQUIRE(serving.login(gone).status == LoginStatus::success);
    REQUIRE(stays.login("iqn.2026-11.test:x", serving.client_target("scratch")).status == LoginStatus::success);
    stays.clear_attention();
    auto data = two_clients();
    data.clients.erase(data.clients.begin());
    data.targets[0].luns.push_back({.lun = 5, .source = boot::BlankSource{16u << 20}});
    serving.catalog.replace(std::make_shared<boot::Catalog>(data));
    serving.service->catalog_changed();
    CHECK(gone.is_closed());
    for (;;) {  // until the new LUN is there; then the change has been announced
        const auto result = stays.read(0, 1, 5);
        if (result.status == good) break;
        REQUIRE(result.status == 0x02);
    }
}

TEST_CASE("the port in use is told in plain words") {
    Serving serving;
    config::Iscsi config;
    config.port = serving.port();
    Runtime runtime{1};
    iscsi::IscsiService second{config,
                               {runtime.lanes(), serving.catalog, serving.addresses, serving.secrets, serving.counters, serving.observer,
                                serving.luns, serving.reservations}};
    CHECK_THROWS_WITH_AS(second.bind(Ipv4Address{0x7f000001}), doctest::Contains("is in use by another program"), std::runtime_error);
}
