// The small machines: command window, data transfer, text exchange, buffer pool, access rules.
#include <doctest/doctest.h>

#include "boot/plan.hpp"
#include "services/iscsi/admission.hpp"
#include "services/iscsi/auth_limit.hpp"
#include "services/iscsi/buffer_pool.hpp"
#include "services/iscsi/command_window.hpp"
#include "services/iscsi/data_transfer.hpp"
#include "services/iscsi/text_exchange.hpp"

using namespace diskless;
using namespace diskless::iscsi;
using Verdict = CommandWindow::Verdict;

TEST_CASE("command window: in order, outside, gaps, and around the wrap of the numbers") {
    for (const std::uint32_t first : {std::uint32_t{1}, std::uint32_t{0xfffffffe}, std::uint32_t{0x7ffffffe}}) {
        CAPTURE(first);
        CommandWindow window{first, 4};
        CHECK(window.max_cmd_sn() == first + 3);
        CHECK(window.receive(first - 1, false) == Verdict::drop);
        CHECK(window.receive(first + 4, false) == Verdict::drop);
        CHECK(window.receive(first + 1, false) == Verdict::gap);
        CHECK(window.receive(first, true) == Verdict::accept);  // immediate: nothing moves
        CHECK(window.exp_cmd_sn() == first);
        for (std::uint32_t at = 0; at < 4; ++at) {
            CHECK(window.receive(first + at, false) == Verdict::accept);
            window.task_started();
        }
        CHECK(window.max_cmd_sn() == first + 3);  // closed: MaxCmdSN = ExpCmdSN - 1
        CHECK(window.receive(first + 4, false) == Verdict::drop);
        CHECK(window.receive(first + 4, true) == Verdict::accept);
        window.task_ended();
        CHECK(window.receive(first + 4, false) == Verdict::accept);
    }
}

namespace {

Parameters small_bursts() {
    Parameters p;
    p.max_burst_length = 1024;
    p.first_burst_length = 1024;
    p.initial_r2t = false;
    p.max_outstanding_r2t = 2;
    return p;
}

wire::DataOut data_out(std::uint32_t data_sn, std::uint32_t offset, bool final) {
    return {.final = final, .data_sn = data_sn, .buffer_offset = offset};
}

}  // namespace

TEST_CASE("write: immediate, then unsolicited, then two R2Ts at a time") {
    WriteTransfer write{small_bursts(), 4096, 4096, 512, true};
    CHECK_FALSE(write.r2t_due());  // unsolicited data first
    CHECK(write.receive(data_out(0, 512, true), 512, std::nullopt) == WriteTransfer::Verdict::accept);
    const auto first = write.next_r2t(), second = write.next_r2t();
    REQUIRE(second);
    CHECK(first->offset == 1024);
    CHECK(second->offset == 2048);
    CHECK_FALSE(write.next_r2t());
    CHECK(write.receive(data_out(0, 1024, false), 512, 0) == WriteTransfer::Verdict::accept);
    CHECK(write.receive(data_out(1, 1536, true), 512, 0) == WriteTransfer::Verdict::accept);
    CHECK(write.receive(data_out(0, 2048, true), 1024, 1) == WriteTransfer::Verdict::accept);
    CHECK_FALSE(write.complete());
    const auto third = write.next_r2t();
    REQUIRE(third);
    CHECK(third->r2t_sn == 2);
    CHECK(write.receive(data_out(0, 3072, true), 1024, 2) == WriteTransfer::Verdict::accept);
    CHECK(write.complete());
    CHECK(write.r2t_count() == 3);
}

TEST_CASE("write: what must not be accepted") {
    const auto wrong = WriteTransfer::Verdict::wrong;
    SUBCASE("unsolicited beyond FirstBurstLength") {
        WriteTransfer write{small_bursts(), 4096, 4096, 512, true};
        CHECK(write.receive(data_out(0, 512, true), 513, std::nullopt) == wrong);
    }
    SUBCASE("unsolicited beyond what was announced") {
        WriteTransfer write{small_bursts(), 600, 600, 512, true};
        CHECK(write.receive(data_out(0, 512, true), 89, std::nullopt) == wrong);
    }
    SUBCASE("unsolicited after its end") {
        WriteTransfer write{small_bursts(), 4096, 4096, 512, false};
        CHECK(write.receive(data_out(0, 512, true), 512, std::nullopt) == wrong);
    }
    SUBCASE("without having been asked") {
        WriteTransfer write{small_bursts(), 4096, 4096, 0, false};
        CHECK(write.receive(data_out(0, 0, true), 512, 0) == wrong);
    }
    SUBCASE("the second burst before the first") {
        WriteTransfer write{small_bursts(), 4096, 4096, 0, false};
        REQUIRE(write.next_r2t());
        REQUIRE(write.next_r2t());
        CHECK(write.receive(data_out(0, 1024, true), 1024, 1) == wrong);
    }
    SUBCASE("commands that may not come like this") {
        Parameters p = small_bursts();
        CHECK(WriteTransfer::allowed(p, 4096, 1024, true));
        CHECK_FALSE(WriteTransfer::allowed(p, 4096, 1025, false));  // beyond FirstBurstLength
        CHECK_FALSE(WriteTransfer::allowed(p, 100, 101, false));    // beyond what was announced
        p.immediate_data = false;
        CHECK_FALSE(WriteTransfer::allowed(p, 4096, 1, false));
        p.initial_r2t = true;
        CHECK_FALSE(WriteTransfer::allowed(p, 4096, 0, true));
    }
}

TEST_CASE("read: pieces of the peer's size, F at the end of each burst") {
    Parameters p;
    p.initiator_max_recv_data_segment_length = 1000;
    p.max_burst_length = 2500;
    ReadTransfer read{p, 6000};
    std::vector<std::uint32_t> lengths;
    std::vector<bool> finals;
    while (!read.done()) {
        const auto segment = read.next();
        CHECK(segment.data_sn == lengths.size());
        lengths.push_back(segment.length);
        finals.push_back(segment.final);
        CHECK(segment.last == read.done());
    }
    CHECK(lengths == std::vector<std::uint32_t>{1000, 1000, 500, 1000, 1000, 500, 1000});
    CHECK(finals == std::vector<bool>{false, false, true, false, false, true, true});
}

TEST_CASE("text exchange: long requests collected, long answers in pieces") {
    using Next = TextExchange::Next;
    TextExchange text{100};
    CHECK(text.receive(wire::reserved_tag, false, true, "Send") == Next::ask);
    const auto tag = text.tag();
    CHECK(tag != wire::reserved_tag);
    CHECK(text.receive(tag, true, false, "Targets=All") == Next::answer);
    CHECK(text.text() == "SendTargets=All");
    text.begin_answer("0123456789");
    const auto first = text.next_piece(4);
    CHECK(first.text == "0123");
    CHECK(first.continues);
    CHECK_FALSE(first.final);
    CHECK(text.receive(first.target_transfer_tag, true, false, "") == Next::proceed);
    CHECK(text.next_piece(4).text == "4567");
    CHECK(text.receive(text.tag(), true, false, "") == Next::proceed);
    const auto last = text.next_piece(4);
    CHECK(last.text == "89");
    CHECK(last.final);
    CHECK(last.target_transfer_tag == wire::reserved_tag);
    CHECK(text.receive(first.target_transfer_tag, true, false, "") == Next::wrong);
    CHECK(text.receive(wire::reserved_tag, true, true, "") == Next::wrong);
    CHECK(text.receive(wire::reserved_tag, false, true, std::string(101, 'x')) == Next::wrong);
}

TEST_CASE("buffer pool: size classes, its maximum, the overdraft, and who waits") {
    struct Waiter final : BufferWaiter {
        int called = 0;
        void memory_available() noexcept override { ++called; }
    } waiter;
    BufferPool pool{65536};
    CHECK(pool.allocate(1).span().size() == 4096);
    CHECK(pool.allocate(4097).span().size() == 16384);
    CHECK(pool.used_bytes() == 0);
    Buffer all = pool.allocate(65536);
    CHECK(all);
    CHECK_FALSE(pool.allocate(1));
    Buffer more = pool.allocate(16384, BufferPool::Urgency::overdraft);
    CHECK(more);
    CHECK_FALSE(pool.allocate(1, BufferPool::Urgency::overdraft));
    pool.wait(waiter);
    CHECK(pool.somebody_waits());
    all.release();
    CHECK(waiter.called == 1);
    CHECK_FALSE(pool.somebody_waits());
    pool.trim();
}

using namespace std::chrono_literals;

TEST_CASE("failed proofs: who has to wait, for how long, and who has not") {
    AuthLimit limit;
    const Ipv4Address here{0xc0a84d0b}, elsewhere{0xc0a84d0c};
    const AuthLimit::Time start{};
    const auto fail = [&](unsigned times, std::string_view target, AuthLimit::Time at) {
        for (unsigned i = 0; i < times; ++i) limit.failed(here, target, at);
    };
    fail(AuthLimit::max_at_target - 1, "a", start);
    CHECK_FALSE(limit.is_blocked(here, "a", start));
    SUBCASE("one more is one too many, there and until the window is over") {
        fail(1, "a", start);
        CHECK(limit.is_blocked(here, "a", start));
        CHECK(limit.is_blocked(here, "a", start + AuthLimit::window - 1ms));
        CHECK_FALSE(limit.is_blocked(here, "a", start + AuthLimit::window));
        CHECK_FALSE(limit.is_blocked(here, "b", start));
        CHECK_FALSE(limit.is_blocked(elsewhere, "a", start));
        CHECK_FALSE(limit.is_blocked(std::nullopt, "a", start));
    }
    SUBCASE("a proof forgives") {
        limit.proven(here, "a");
        fail(1, "a", start);
        CHECK_FALSE(limit.is_blocked(here, "a", start));
    }
    SUBCASE("a later window counts anew") {
        fail(1, "a", start + AuthLimit::window);
        CHECK_FALSE(limit.is_blocked(here, "a", start + AuthLimit::window));
    }
    SUBCASE("going from target to target") {
        for (const char* target : {"b", "c", "d", "e"}) fail(AuthLimit::max_at_target - 1, target, start);
        CHECK(limit.is_blocked(here, "f", start));
        CHECK_FALSE(limit.is_blocked(elsewhere, "f", start));
    }
    SUBCASE("the table is bounded, and what began last is remembered") {
        for (std::uint32_t i = 0; i < 2 * AuthLimit::max_entries; ++i) limit.failed(Ipv4Address{i}, "a", start + 1ms * i / 1000);
        CHECK(limit.size() <= AuthLimit::max_entries);
        for (unsigned i = 0; i < AuthLimit::max_at_target; ++i) limit.failed(elsewhere, "a", start + 20s);
        CHECK(limit.is_blocked(elsewhere, "a", start + 20s));
    }
}

TEST_CASE("access rules: ranges of addresses, and targets that have moved") {
    boot::CatalogData data;
    data.clients = {
        {.name = "desk", .macs = {*MacAddress::parse("52:54:00:12:34:01")}, .addresses = {*Ipv4Range::parse("10.0.0.5-10.0.0.9")}}};
    data.clients[0].settings.disks = std::vector<boot::Disk>{{.lun = 0}};
    data.targets = {{.name = "lab", .luns = {{.lun = 0}}, .initiators = {"*"}, .addresses = {*Ipv4Range::parse("10.0.0.0-10.0.0.255")}},
                    {.name = "moved", .initiators = {"iqn.t.initiator:*"}, .redirect = "san:3260"}};
    boot::AddressBook addresses;
    const std::string own = boot::initiator_name("iqn.t", "desk");
    const auto admit = [&](std::string_view target, std::optional<Ipv4Address> from, std::string_view name = "") {
        const boot::Catalog catalog{data};
        const AccessRules rules{catalog, addresses, "iqn.t"};
        return rules.admit(target, {name.empty() ? std::string_view{own} : name, from}).status;
    };
    const auto at = [](std::string_view text) { return Ipv4Address::parse(text); };
    constexpr auto success = wire::LoginStatus::success;
    constexpr auto refused = wire::LoginStatus::authorization_failure;
    CHECK(admit("iqn.t:desk", at("10.0.0.5")) == success);
    CHECK(admit("iqn.t:desk", at("10.0.0.9")) == success);
    CHECK(admit("iqn.t:desk", at("10.0.0.10")) == refused);  // nobody knows where the client is, but this is not where it may be
    CHECK(admit("iqn.t:desk", std::nullopt) == refused);
    data.clients[0].address = at("10.0.1.1");
    CHECK(admit("iqn.t:desk", at("10.0.1.1")) == success);
    CHECK(admit("iqn.t:desk", at("10.0.0.5")) == success);
    CHECK(admit("iqn.t:lab", at("10.0.0.0")) == success);
    CHECK(admit("iqn.t:lab", at("10.0.1.0")) == refused);
    CHECK(admit("iqn.t:lab", std::nullopt) == refused);
    CHECK(admit("iqn.t:moved", at("10.9.9.9")) == wire::LoginStatus::target_moved_temporarily);
    CHECK(admit("iqn.t:moved", at("10.9.9.9"), "iqn.other") == refused);
    const boot::Catalog catalog{data};
    const AccessRules rules{catalog, addresses, "iqn.t"};
    using Names = std::vector<std::string>;
    CHECK(rules.visible_targets({own, at("10.0.0.7")}) == Names{"iqn.t:desk", "iqn.t:lab", "iqn.t:moved"});
    CHECK(rules.visible_targets({own, at("10.9.9.9")}) == Names{"iqn.t:moved"});
    CHECK(rules.visible_targets({"iqn.other", at("10.9.9.9")}).empty());
}

TEST_CASE("access rules") {
    boot::CatalogData data;
    data.clients = {{.name = "desk", .macs = {*MacAddress::parse("52:54:00:12:34:01")}, .initiators = {"iqn.1993-08.org.debian:*"}}};
    data.clients[0].settings.disks = std::vector<boot::Disk>{{.lun = 0}};
    data.targets = {{.name = "open", .luns = {{.lun = 0}}, .initiators = {"*"}}};
    const Ipv4Address here{0xc0a84d0b}, elsewhere{0xc0a84d0c};
    boot::AddressBook addresses;
    const auto admit = [&](std::string_view target, const Visitor& visitor) {
        const boot::Catalog catalog{data};
        return AccessRules{catalog, addresses, "iqn.t"}.admit(target, visitor).status;
    };
    const std::string own = boot::initiator_name("iqn.t", "desk");
    CHECK(admit("iqn.t:desk", {own, here}) == wire::LoginStatus::success);  // nobody knows where the client is: its name must do
    CHECK(admit("IQN.T:DESK", {own, here}) == wire::LoginStatus::success);
    CHECK(admit("iqn.t:desk", {"iqn.1993-08.org.debian:01", here}) == wire::LoginStatus::success);
    CHECK(admit("iqn.t:desk", {"iqn.other", here}) == wire::LoginStatus::authorization_failure);
    CHECK(admit("iqn.t:none", {own, here}) == wire::LoginStatus::target_not_found);
    CHECK(admit("iqn.t:open", {"iqn.other", std::nullopt}) == wire::LoginStatus::success);
    addresses.bind(here, data.clients[0].macs[0]);
    CHECK(admit("iqn.t:desk", {own, here}) == wire::LoginStatus::success);
    CHECK(admit("iqn.t:desk", {own, elsewhere}) == wire::LoginStatus::authorization_failure);
    CHECK(admit("iqn.t:desk", {own, std::nullopt}) == wire::LoginStatus::authorization_failure);
    data.clients[0].address = elsewhere;  // a reservation is stronger than a lease
    CHECK(admit("iqn.t:desk", {own, elsewhere}) == wire::LoginStatus::success);
    CHECK(admit("iqn.t:desk", {own, here}) == wire::LoginStatus::authorization_failure);
    const boot::Catalog catalog{data};
    CHECK(AccessRules{catalog, addresses, "iqn.t"}.visible_targets({own, elsewhere}) ==
          std::vector<std::string>{"iqn.t:desk", "iqn.t:open"});
}
