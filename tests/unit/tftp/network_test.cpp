// Both ends of a transfer over a simulated network that loses, repeats and reorders, in virtual time. A failure names its seed.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <random>
#include <string>

#include "services/tftp/transfer.hpp"

using namespace diskless;
using namespace diskless::tftp;
using namespace std::chrono_literals;

namespace {

using Micros = std::chrono::microseconds;

std::byte byte_at(std::uint64_t offset) { return static_cast<std::byte>((offset * 2654435761u) >> 13); }

struct Weather {
    double loss = 0, repeat = 0;
    Micros delay{200}, jitter{0};
};

struct Ask {
    std::uint64_t size_bytes = 0;
    wire::Options options;
};

/// A receiver as RFC 7440 4 describes it, the touchy sort: it acknowledges again whatever it did not expect, and repeats itself when
/// nothing comes.
class Receiver {
 public:
    Receiver(std::uint16_t blksize, std::uint16_t windowsize) : blksize_{blksize}, windowsize_{windowsize} {}

    std::optional<std::uint16_t> receive(const wire::Data& data) {
        if (!complete_ && data.block == static_cast<std::uint16_t>(taken_ + 1)) {
            ++taken_;
            for (const std::byte b : data.bytes) right_ = right_ && b == byte_at(size_bytes_++);
            complete_ = data.bytes.size() < blksize_;
            if (++in_window_ < windowsize_ && !complete_) return std::nullopt;
        }
        return acknowledge();
    }
    std::uint16_t acknowledge() {
        in_window_ = 0;
        return static_cast<std::uint16_t>(taken_);
    }
    [[nodiscard]] bool complete() const { return complete_; }
    [[nodiscard]] bool has_exactly(std::uint64_t size_bytes) const { return right_ && size_bytes_ == size_bytes; }

 private:
    std::uint16_t blksize_, windowsize_;
    std::uint64_t taken_ = 0;  // blocks
    std::uint64_t size_bytes_ = 0;
    unsigned in_window_ = 0;
    bool complete_ = false;
    bool right_ = true;
};

class Network {
 public:
    Network(unsigned seed, Weather weather, Ask ask)
        : random_{seed},
          weather_{weather},
          ask_{ask},
          transfer_{ask.size_bytes, ask.options, {.retransmit = 100ms, .max_retransmits = 50}},
          receiver_{transfer_.blksize(), transfer_.oack().windowsize.value_or(1)} {}

    /// Whether the sender came to its end with the receiver having the file.
    bool run() {
        perform(transfer_.start());
        arm(client_timer_, client_timeout);
        while (!over_ && !events_.empty() && steps_++ < 10'000'000) {
            const auto event = events_.begin();
            now_ = event->first;
            const std::function<void()> happens = std::move(event->second);
            events_.erase(event);
            happens();
        }
        return done_ && receiver_.complete() && receiver_.has_exactly(ask_.size_bytes);
    }
    [[nodiscard]] std::uint64_t data_packets() const { return data_packets_; }
    [[nodiscard]] std::uint64_t blocks() const { return transfer_.last_block(); }

 private:
    static constexpr Micros client_timeout{130'000};

    void perform(Transfer::Action action) {
        using Kind = Transfer::Action::Kind;
        switch (action.kind) {
            case Kind::send_oack: {
                std::vector<std::byte> oack;
                wire::encode_oack(transfer_.oack(), oack);
                deliver(std::move(oack), true);
                break;
            }
            case Kind::send_blocks:
                for (std::uint64_t block = action.first; block < action.first + action.count; ++block) {
                    std::vector<std::byte> packet(wire::data_header_bytes + transfer_.length_of(block));
                    wire::encode_data_header(packet, Transfer::on_wire(block));
                    for (std::size_t i = 4; i < packet.size(); ++i) packet[i] = byte_at(transfer_.offset_of(block) + i - 4);
                    deliver(std::move(packet), true);
                    ++data_packets_;
                }
                break;
            case Kind::wait: return;  // and the deadline stays, as in Session
            case Kind::done: done_ = over_ = true; return;
            case Kind::give_up: over_ = true; return;
        }
        arm(server_timer_, transfer_.timeout());
    }

    void to_client(ByteSpan datagram) {
        const auto packet = wire::decode(datagram);
        if (!packet) FAIL("what one end encoded the other cannot decode");
        if (const auto* oack = std::get_if<wire::Oack>(&*packet)) {
            if (oack->options != transfer_.oack()) FAIL("the OACK changed on its way");
            send_ack(0);
        } else if (const auto ack = receiver_.receive(std::get<wire::Data>(*packet))) {
            send_ack(*ack);
        }
        arm(client_timer_, client_timeout);
    }
    void to_server(ByteSpan datagram) {
        const auto packet = wire::decode(datagram);
        if (!packet) FAIL("what one end encoded the other cannot decode");
        perform(transfer_.on_ack(std::get<wire::Ack>(*packet).block));
    }
    void send_ack(std::uint16_t block) {
        std::vector<std::byte> ack(4);
        store_be<std::uint16_t>(ack, 0, 4);
        store_be(ack, 2, block);
        deliver(std::move(ack), false);
    }

    void deliver(std::vector<std::byte> datagram, bool to_the_client) {
        for (int copies = chance(weather_.repeat) ? 2 : 1; copies > 0; --copies) {
            if (chance(weather_.loss)) continue;
            const Micros late{std::uniform_int_distribution<Micros::rep>{0, weather_.jitter.count()}(random_)};
            events_.emplace(now_ + weather_.delay + late, [this, datagram, to_the_client] {
                if (to_the_client) {
                    to_client(datagram);
                } else {
                    to_server(datagram);
                }
            });
        }
    }
    bool chance(double probability) { return std::bernoulli_distribution{probability}(random_); }

    using Events = std::multimap<Micros, std::function<void()>>;
    void arm(unsigned& timer, Micros after) {
        const unsigned number = ++timer;  // a timer that is armed anew forgets the older one
        const bool server = &timer == &server_timer_;
        events_.emplace(now_ + after, [this, number, server] {
            if (number != (server ? server_timer_ : client_timer_)) return;
            if (server) return perform(transfer_.on_timeout());
            send_ack(receiver_.acknowledge());
            arm(client_timer_, client_timeout);
        });
    }

    std::mt19937 random_;
    Weather weather_;
    Ask ask_;
    Transfer transfer_;
    Receiver receiver_;
    Events events_;
    Micros now_{0};
    unsigned server_timer_ = 0, client_timer_ = 0;
    std::uint64_t data_packets_ = 0, steps_ = 0;
    bool done_ = false, over_ = false;
};

}  // namespace

TEST_CASE("on a calm network every block is sent once") {
    for (const Ask ask :
         {Ask{100'000, {}}, Ask{100'000, {.blksize = 1428, .windowsize = 64}}, Ask{0, {.tsize = 0}}, Ask{1 << 20, {.windowsize = 7}}}) {
        Network network{1, {}, ask};
        CHECK(network.run());
        CHECK(network.data_packets() == network.blocks());
    }
}

TEST_CASE("repeated packets alone never repeat a block of RFC 1350's transfer") {
    for (unsigned seed = 0; seed < 10; ++seed) {
        CAPTURE(seed);
        Network network{seed, {.repeat = 0.5, .jitter = Micros{500}}, {200'000, {}}};
        CHECK(network.run());
        CHECK(network.data_packets() == network.blocks());
    }
}

TEST_CASE("files arrive whole over bad networks") {
    const Ask asks[] = {{30'000, {}},
                        {30'000, {.blksize = 1428, .tsize = 0}},
                        {60'000, {.blksize = 512, .windowsize = 4}},
                        {60'000, {.blksize = 100, .windowsize = 64}},
                        {512 * 16, {.windowsize = 16}},
                        {0, {.tsize = 0}}};
    const Weather weathers[] = {{.loss = 0.05},
                                {.loss = 0.3},
                                {.repeat = 0.3, .jitter = Micros{2000}},
                                {.loss = 0.1, .repeat = 0.1, .jitter = Micros{1000}},
                                {.loss = 0.02, .delay = Micros{25'000}, .jitter = Micros{5000}},
                                {.delay = Micros{60'000}, .jitter = Micros{120'000}}};
    for (unsigned seed = 0; seed < 5; ++seed) {
        for (const Ask& ask : asks) {
            for (const Weather& weather : weathers) {
                CAPTURE(seed);
                CAPTURE(ask.options.windowsize.value_or(1));
                CAPTURE(weather.loss);
                CAPTURE(weather.jitter.count());
                Network network{seed, weather, ask};
                REQUIRE(network.run());
            }
        }
    }
}

TEST_CASE("a lossy network costs windows, not multiples of the file") {
    for (unsigned seed = 0; seed < 10; ++seed) {
        CAPTURE(seed);
        Network network{seed, {.loss = 0.01}, {1 << 20, {.blksize = 1024, .windowsize = 8}}};
        REQUIRE(network.run());
        CHECK(network.data_packets() < network.blocks() * 5 / 4);
    }
}

TEST_CASE("more than 65,536 blocks arrive whole over a bad network") {
    Network network{7, {.loss = 0.002, .repeat = 0.01, .jitter = Micros{300}}, {70'000 * 8 + 3, {.blksize = 8, .windowsize = 32}}};
    CHECK(network.blocks() == 70'001);
    CHECK(network.run());
}
