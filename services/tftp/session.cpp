#include "services/tftp/session.hpp"

#include <algorithm>
#include <utility>

namespace diskless::tftp {

Session::Session(asio::ip::udp::socket socket, Port port, asio::ip::udp::endpoint client, Content content, const wire::Options& asked,
                 const TransferLimits& limits)
    : socket_{std::move(socket)},
      port_{port},
      arrival_{socket_.get_executor()},
      client_{std::move(client)},
      content_{std::move(content)},
      transfer_{content_.size_bytes(), asked, limits},
      watch_{socket_.get_executor()} {}

asio::awaitable<Session::Outcome> Session::run() {
    Next step = transfer_.start();
    while (const auto* decided = std::get_if<Transfer::Action>(&step)) {
        const Transfer::Action action = *decided;
        step = co_await perform(action);
    }
    over_ = true;
    watch_.cancel();
    co_return std::get<Outcome>(step);
}

asio::awaitable<Session::Next> Session::perform(Transfer::Action action) {
    switch (action.kind) {
        case Transfer::Action::Kind::send_oack: co_await send_oack(); break;
        case Transfer::Action::Kind::send_blocks:
            if (co_await send_blocks(action.first, action.count)) break;
            co_await send_error(client_, wire::ErrorCode::not_defined, "the file cannot be read any more");
            co_return Outcome::failed;
        case Transfer::Action::Kind::wait: break;
        case Transfer::Action::Kind::done: co_return Outcome::done;
        case Transfer::Action::Kind::give_up: co_return Outcome::gave_up;
    }
    co_return co_await next();
}

asio::awaitable<Session::Next> Session::next() {
    expect_until(Clock::now() + transfer_.timeout());
    std::array<std::byte, 1024> room{};  // ACK and ERROR are short; what is cut off of anything else is not missed
    while (port_ == Port::shared) {
        const auto datagram = co_await delivered();
        if (!socket_.is_open()) co_return Outcome::stopped;
        if (!datagram) co_return transfer_.on_timeout();
        if (auto decided = obey(*datagram)) co_return *decided;
    }
    while (true) {
        asio::ip::udp::endpoint from;
        const auto [ec, n] = co_await socket_.async_receive_from(asio::buffer(room), from, nothrow_await);
        if (!socket_.is_open()) co_return Outcome::stopped;
        if (ec && silent_) co_return transfer_.on_timeout();
        if (ec) co_return Outcome::failed;
        const ByteSpan datagram = ByteSpan{room}.first(n);
        if (from == client_) {
            if (auto decided = obey(datagram)) co_return *decided;
        } else if (const auto packet = wire::decode(datagram); packet && !std::holds_alternative<wire::Error>(*packet)) {
            // RFC 1350 4: a stranger does not disturb the transfer. Its ERROR is not answered, or two servers could go on for ever.
            co_await send_error(from, wire::ErrorCode::unknown_transfer_id, "unknown transfer ID");
        }
    }
}

/// A packet that comes in time costs the clock nothing: the watch looks again at the new deadline when the old one is over.
void Session::expect_until(Clock::time_point deadline) {
    deadline_ = deadline;
    silent_ = false;
    if (!std::exchange(is_watched_, true)) watch();
}

void Session::watch() {
    watch_.expires_at(deadline_);
    watch_.async_wait([self = shared_from_this()](error_code ec) {
        if (ec || self->over_) return;
        if (Clock::now() < self->deadline_) return self->watch();
        self->is_watched_ = false;
        self->silent_ = true;
        error_code ignored;
        self->socket_.cancel(ignored);
        self->arrival_.cancel();
    });
}

asio::awaitable<std::optional<std::vector<std::byte>>> Session::delivered() {
    while (inbox_.empty() && !silent_ && socket_.is_open()) {
        arrival_.expires_at(Clock::time_point::max());
        (void)co_await arrival_.async_wait(nothrow_await);
    }
    if (inbox_.empty()) co_return std::nullopt;
    std::vector<std::byte> datagram = std::move(inbox_.front());
    inbox_.pop_front();
    co_return datagram;
}

void Session::deliver(std::vector<std::byte> datagram) {
    asio::post(socket_.get_executor(), [self = shared_from_this(), datagram = std::move(datagram)]() mutable {
        if (self->inbox_.size() == max_waiting) return;
        self->inbox_.push_back(std::move(datagram));
        self->arrival_.cancel();
    });
}

std::optional<Session::Next> Session::obey(ByteSpan datagram) {
    const auto packet = wire::decode(datagram);
    if (!packet) return std::nullopt;
    if (std::holds_alternative<wire::Error>(*packet)) return Outcome::client_aborted;
    const auto* ack = std::get_if<wire::Ack>(&*packet);
    if (ack == nullptr) return std::nullopt;
    heard_ = Clock::now().time_since_epoch().count();
    const Transfer::Action action = transfer_.on_ack(ack->block);
    if (action.kind == Transfer::Action::Kind::wait) return std::nullopt;  // and the deadline stays
    return action;
}

asio::awaitable<bool> Session::send_blocks(std::uint64_t first, std::uint64_t count) {
    const std::size_t packet_bytes = wire::data_header_bytes + transfer_.blksize();
    const std::uint64_t per_burst = std::clamp<std::size_t>(Burst::max_bytes / packet_bytes, 1, Burst::max_datagrams);
    for (std::uint64_t done = 0; done < count; done += per_burst) {
        if (!fill(first + done, std::min(per_burst, count - done))) co_return false;
        MutableByteSpan left{packets_};
        while (!left.empty() && socket_.is_open()) {
            const std::size_t gone = burst_.send(socket_, client_, left, packet_bytes);
            left = left.subspan(gone);
            if (gone == 0) co_await socket_.async_wait(asio::ip::udp::socket::wait_write, nothrow_await);
        }
    }
    co_return true;
}

bool Session::fill(std::uint64_t first, std::uint64_t count) {
    packets_.resize(count * (wire::data_header_bytes + transfer_.blksize()));
    std::size_t used = 0;
    for (std::uint64_t block = first; block < first + count; ++block) {
        const std::size_t length = transfer_.length_of(block);
        const MutableByteSpan packet = MutableByteSpan{packets_}.subspan(used, wire::data_header_bytes + length);
        wire::encode_data_header(packet, Transfer::on_wire(block));
        if (!content_.read(transfer_.offset_of(block), packet.subspan(wire::data_header_bytes))) return false;
        used += packet.size();
    }
    packets_.resize(used);
    return true;
}

asio::awaitable<void> Session::send_oack() {
    std::vector<std::byte> oack;
    wire::encode_oack(transfer_.oack(), oack);
    (void)co_await socket_.async_send_to(asio::buffer(oack), client_, nothrow_await);  // a failure is a lost packet
}

asio::awaitable<void> Session::send_error(asio::ip::udp::endpoint to, wire::ErrorCode code, std::string_view text) {
    std::vector<std::byte> error;
    wire::encode_error(code, text, error);
    (void)co_await socket_.async_send_to(asio::buffer(error), to, nothrow_await);
}

void Session::stop() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
        error_code ignored;
        self->socket_.close(ignored);
        self->arrival_.cancel();
    });
}

bool Session::is_forsaken() const noexcept {
    if (over_) return true;
    const Clock::time_point heard{Clock::duration{heard_.load()}};
    return heard != Clock::time_point{} && Clock::now() - heard >= transfer_.timeout();
}

}  // namespace diskless::tftp
