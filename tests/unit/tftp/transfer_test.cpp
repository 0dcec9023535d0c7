// The sending machine by scripted dialogue.
#include "services/tftp/transfer.hpp"

#include <doctest/doctest.h>

using namespace diskless;
using namespace diskless::tftp;
using namespace std::chrono_literals;

using Action = Transfer::Action;
using Kind = Action::Kind;

namespace {

constexpr TransferLimits limits{.max_blksize = 1468, .max_windowsize = 16, .retransmit = 700ms, .max_retransmits = 3};
constexpr Action waits{Kind::wait};
constexpr Action done{Kind::done};
constexpr Action sends(std::uint64_t first, std::uint64_t count) { return {Kind::send_blocks, first, count}; }

}  // namespace

TEST_CASE("RFC 1350: block by block, the last one short") {
    Transfer transfer{1025, {}, limits};
    CHECK(transfer.start() == sends(1, 1));
    CHECK(transfer.length_of(1) == 512);
    CHECK(transfer.on_ack(1) == sends(2, 1));
    CHECK(transfer.on_ack(2) == sends(3, 1));
    CHECK(transfer.offset_of(3) == 1024);
    CHECK(transfer.length_of(3) == 1);
    CHECK(transfer.on_ack(3) == done);
}

TEST_CASE("a file of whole blocks ends with an empty one; so does an empty file") {
    Transfer two{1024, {}, limits};
    CHECK(two.last_block() == 3);
    CHECK(two.length_of(2) == 512);
    CHECK(two.length_of(3) == 0);
    Transfer empty{0, {}, limits};
    CHECK(empty.start() == sends(1, 1));
    CHECK(empty.length_of(1) == 0);
    CHECK(empty.on_ack(1) == done);
}

TEST_CASE("options: an OACK first, its ACK is 0; never more than asked, never more than the limits") {
    Transfer transfer{100'000, {.blksize = 65464, .timeout_s = 3, .tsize = 0, .windowsize = 64}, limits};
    CHECK(transfer.start() == Action{Kind::send_oack});
    CHECK(transfer.oack() == wire::Options{.blksize = 1468, .timeout_s = 3, .tsize = 100'000, .windowsize = 16});
    CHECK(transfer.timeout() == 3s);
    CHECK(transfer.on_ack(1) == waits);  // of what?
    CHECK(transfer.on_ack(0) == sends(1, 16));
    CHECK(transfer.on_ack(16) == sends(17, 16));

    Transfer small{100, {.blksize = 8, .windowsize = 2}, limits};
    CHECK(small.oack() == wire::Options{.blksize = 8, .windowsize = 2});
    Transfer plain{100, {}, limits};
    CHECK(plain.timeout() == 700ms);
}

TEST_CASE("a timeout that would hold the place of a client that is gone is not agreed on") {
    Transfer patient{1, {.timeout_s = 30}, limits};
    CHECK(patient.timeout() == 30s);
    Transfer eternal{1, {.timeout_s = 31}, limits};
    CHECK(eternal.timeout() == 700ms);
    CHECK_FALSE(eternal.oack().timeout_s);
    CHECK(eternal.start() == sends(1, 1));  // nothing agreed on: no OACK (RFC 2347)
}

TEST_CASE("silence: what was sent is sent again, so often and no more; an answer starts the count anew") {
    for (const bool with_options : {false, true}) {
        CAPTURE(with_options);
        Transfer transfer{5000, with_options ? wire::Options{.tsize = 0} : wire::Options{}, limits};
        const Action first = transfer.start();
        for (int i = 0; i < 3; ++i) CHECK(transfer.on_timeout() == first);
        if (with_options) {
            CHECK(transfer.on_ack(0) == sends(1, 1));
            for (int i = 0; i < 3; ++i) CHECK(transfer.on_timeout() == sends(1, 1));
        }
        CHECK(transfer.on_ack(1) == sends(2, 1));
        for (int i = 0; i < 3; ++i) CHECK(transfer.on_timeout() == sends(2, 1));
        CHECK(transfer.on_timeout() == Action{Kind::give_up});
    }
}

TEST_CASE("the Sorcerer's Apprentice: a duplicate ACK resends nothing and does not feed the retransmissions") {
    Transfer transfer{5000, {}, limits};
    CHECK(transfer.start() == sends(1, 1));
    CHECK(transfer.on_ack(0) == waits);
    CHECK(transfer.on_ack(1) == sends(2, 1));
    for (int i = 0; i < 100; ++i) CHECK(transfer.on_ack(1) == waits);
    CHECK(transfer.on_ack(0) == waits);
    CHECK(transfer.on_ack(3) == waits);  // never sent
    CHECK(transfer.on_ack(0x8000) == waits);
    for (int i = 0; i < 3; ++i) {
        CHECK(transfer.on_timeout() == sends(2, 1));
        CHECK(transfer.on_ack(1) == waits);
    }
    CHECK(transfer.on_timeout() == Action{Kind::give_up});
}

TEST_CASE("RFC 7440: an ACK inside the window asks for the rest of it; one of its beginning is believed once") {
    Transfer transfer{100'000, {.windowsize = 8}, limits};
    CHECK(transfer.start() == Action{Kind::send_oack});
    CHECK(transfer.on_ack(0) == sends(1, 8));
    CHECK(transfer.on_ack(8) == sends(9, 8));
    CHECK(transfer.on_ack(8) == sends(9, 8));  // 9 was lost, 10 came
    CHECK(transfer.on_ack(8) == waits);        // and 11, and 12 …
    CHECK(transfer.on_ack(16) == sends(17, 8));
    CHECK(transfer.on_ack(16) == waits);         // the echo of the blocks that were sent twice
    CHECK(transfer.on_ack(19) == sends(20, 8));  // 20 was lost
    CHECK(transfer.on_ack(19) == waits);
    CHECK(transfer.on_ack(18) == waits);  // overtaken
    CHECK(transfer.on_ack(27) == sends(28, 8));
    CHECK(transfer.on_ack(27) == sends(28, 8));
}

TEST_CASE("one timeout does not double every window that follows") {
    Transfer transfer{100'000, {.windowsize = 4}, limits};
    (void)transfer.start();
    CHECK(transfer.on_ack(0) == sends(1, 4));
    CHECK(transfer.on_timeout() == sends(1, 4));
    // The client had them all, only its ACK was late: it acknowledges both copies.
    CHECK(transfer.on_ack(4) == sends(5, 4));
    CHECK(transfer.on_ack(4) == waits);
    CHECK(transfer.on_ack(8) == sends(9, 4));
    CHECK(transfer.on_ack(8) == sends(9, 4));  // a loss of later blocks is believed again
}

TEST_CASE("an ACK inside blocks that were sent twice asks for new blocks only") {
    Transfer transfer{512 * 20, {.windowsize = 8}, limits};
    (void)transfer.start();
    CHECK(transfer.on_ack(0) == sends(1, 8));
    CHECK(transfer.on_timeout() == sends(1, 8));  // 8 was lost
    CHECK(transfer.on_ack(7) == sends(9, 7));     // the client says so at the second 1; the second 8 is on its way
    CHECK(transfer.on_ack(7) == waits);
    CHECK(transfer.on_timeout() == sends(8, 8));  // unless it was lost too
    CHECK(transfer.on_ack(15) == sends(16, 6));
    CHECK(transfer.on_timeout() == sends(16, 6));
    CHECK(transfer.on_ack(18) == waits);  // nothing new is left
    CHECK(transfer.on_timeout() == sends(19, 3));
    CHECK(transfer.on_ack(21) == done);
}

TEST_CASE("the last window is as long as the file") {
    Transfer transfer{512 * 5 + 1, {.windowsize = 4}, limits};
    (void)transfer.start();
    CHECK(transfer.on_ack(0) == sends(1, 4));
    CHECK(transfer.on_ack(4) == sends(5, 2));
    CHECK(transfer.on_ack(5) == sends(6, 1));
    CHECK(transfer.on_ack(6) == done);
}

TEST_CASE("block 65535 is followed by 0, as often as the file is long") {
    constexpr std::uint64_t blocks = 3 * 65536 + 10;
    for (const std::uint16_t window : {std::uint16_t{1}, std::uint16_t{16}}) {
        CAPTURE(window);
        Transfer transfer{(blocks - 1) * 8, {.blksize = 8, .windowsize = window}, limits};
        CHECK(transfer.last_block() == blocks);
        (void)transfer.start();
        Action action = transfer.on_ack(0);
        std::uint64_t next = 1;
        while (action.kind == Kind::send_blocks) {
            if (action.first != next || transfer.offset_of(next) != (next - 1) * 8) FAIL("block ", next);
            next += action.count;
            action = transfer.on_ack(Transfer::on_wire(next - 1));
        }
        CHECK(action == done);
        CHECK(next == blocks + 1);
    }
}

TEST_CASE("around the rollover an old ACK is old and a new one new") {
    Transfer transfer{70'000 * 8, {.blksize = 8, .windowsize = 4}, limits};
    (void)transfer.start();
    (void)transfer.on_ack(0);
    for (std::uint64_t block = 4; block <= 65532; block += 4) (void)transfer.on_ack(Transfer::on_wire(block));
    CHECK(transfer.on_ack(65534) == sends(65535, 4));  // 65535, 0, 1, 2 on the wire
    CHECK(transfer.on_ack(65532) == waits);
    CHECK(transfer.on_ack(3) == waits);
    CHECK(transfer.on_ack(1) == sends(65538, 4));
}
