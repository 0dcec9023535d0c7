#include "services/tftp/session.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/timeout.hpp"

namespace diskless::tftp {
namespace {

/// One UDP_SEGMENT send: the kernel takes 64 segments and a whole IP datagram at most.
constexpr std::size_t max_segments = 64;
constexpr std::size_t max_segmented_bytes = 65000;

}  // namespace

std::uint64_t Content::size_bytes() const noexcept {
    if (const auto* file = std::get_if<storage::BootFile>(&source_)) return file->size_bytes();
    return std::get<std::string>(source_).size();
}

bool Content::read(std::uint64_t offset_bytes, MutableByteSpan into) const noexcept {
    if (const auto* file = std::get_if<storage::BootFile>(&source_)) return file->read(offset_bytes, into);
    const ByteSpan text = as_bytes(std::get<std::string>(source_)).subspan(offset_bytes);
    std::ranges::copy(text.first(std::min(text.size(), into.size())), into.begin());
    return true;
}

Session::Session(asio::ip::udp::socket socket, asio::ip::udp::endpoint client, Content content, const wire::Options& asked,
                 const TransferLimits& limits)
    : socket_{std::move(socket)},
      client_{std::move(client)},
      content_{std::move(content)},
      transfer_{content_.size_bytes(), asked, limits} {}

asio::awaitable<Session::Outcome> Session::run() {
    using Kind = Transfer::Action::Kind;
    Transfer::Action action = transfer_.start();
    while (true) {
        switch (action.kind) {
            case Kind::send_oack: {
                std::vector<std::byte> oack;
                wire::encode_oack(transfer_.oack(), oack);
                if (!co_await send(oack)) co_return Outcome::failed;
                break;
            }
            case Kind::send_blocks:
                if (!co_await send_blocks(action.first, action.count)) co_return Outcome::failed;
                break;
            case Kind::wait: break;
            case Kind::done: co_return Outcome::done;
            case Kind::give_up: co_return Outcome::gave_up;
        }
        const auto decided = co_await next();
        if (const auto* outcome = std::get_if<Outcome>(&decided)) co_return *outcome;
        action = std::get<Transfer::Action>(decided);
    }
}

asio::awaitable<std::variant<Transfer::Action, Session::Outcome>> Session::next() {
    const auto deadline = std::chrono::steady_clock::now() + transfer_.timeout();
    std::array<std::byte, 1024> room{};
    while (true) {
        asio::ip::udp::endpoint from;
        const auto left = std::max(std::chrono::steady_clock::duration::zero(), deadline - std::chrono::steady_clock::now());
        const auto [ec, n] = co_await with_timeout(socket_.async_receive_from(asio::buffer(room), from, asio::deferred), left);
        if (ec == asio::error::timed_out) co_return transfer_.on_timeout();
        if (ec == asio::error::operation_aborted) co_return Outcome::cancelled;
        if (ec == asio::error::connection_refused) co_return Outcome::client_aborted;  // ICMP: its socket is gone
        if (ec) co_return Outcome::failed;
        if (from != client_) {  // RFC 1350 4: somebody else's packet does not disturb the transfer
            std::vector<std::byte> error;
            wire::encode_error(wire::ErrorCode::unknown_transfer_id, "unknown transfer ID", error);
            (void)co_await socket_.async_send_to(asio::buffer(error), from, nothrow_await);
            continue;
        }
        const auto packet = wire::decode(ByteSpan{room}.first(n));
        if (!packet) continue;
        if (std::holds_alternative<wire::Error>(*packet)) co_return Outcome::client_aborted;
        if (const auto* ack = std::get_if<wire::Ack>(&*packet)) {
            const auto action = transfer_.on_ack(ack->block);
            if (action.kind != Transfer::Action::Kind::wait) co_return action;
        }
    }
}

// A window goes out in pieces of one system call each: every packet in place in one buffer, read from the file behind its header.
asio::awaitable<bool> Session::send_blocks(std::uint64_t first, std::uint64_t count) {
    const std::size_t packet_bytes = wire::data_header_bytes + transfer_.blksize();
    const std::uint64_t per_piece = std::clamp<std::size_t>(max_segmented_bytes / packet_bytes, 1, max_segments);
    for (std::uint64_t done = 0; done < count; done += per_piece) {
        const std::uint64_t now = std::min(per_piece, count - done);
        packets_.resize(now * packet_bytes);
        std::size_t used = 0;
        for (std::uint64_t i = 0; i < now; ++i) {
            const std::uint64_t block = first + done + i;
            const std::size_t length = transfer_.length_of(block);
            const MutableByteSpan packet = MutableByteSpan{packets_}.subspan(used, wire::data_header_bytes + length);
            wire::encode_data_header(packet, Transfer::on_wire(block));
            if (!content_.read(transfer_.offset_of(block), packet.subspan(wire::data_header_bytes))) co_return false;
            used += packet.size();
        }
        if (!co_await send_datagrams(std::span{packets_}.first(used), packet_bytes)) co_return false;
    }
    co_return true;
}

asio::awaitable<bool> Session::send_datagrams(std::span<std::byte> packets, std::size_t packet_bytes) {
    if (packets.size() > packet_bytes && segments_ && send_segmented(packets, packet_bytes)) co_return true;
    while (!packets.empty()) {
        const auto packet = packets.first(std::min(packets.size(), packet_bytes));
        if (!co_await send(packet)) co_return false;
        packets = packets.subspan(packet.size());
    }
    co_return true;
}

/// False: not sent this way. Blocks larger than the path's MTU cannot be segmented, and some devices cannot at all: then not tried again.
bool Session::send_segmented(std::span<std::byte> packets, std::size_t packet_bytes) noexcept {
    iovec piece{packets.data(), packets.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    msghdr header{};
    header.msg_name = client_.data();
    header.msg_namelen = static_cast<socklen_t>(client_.size());
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* segment = CMSG_FIRSTHDR(&header);
    segment->cmsg_level = SOL_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(packet_bytes);
    std::memcpy(CMSG_DATA(segment), &size, sizeof size);
    if (::sendmsg(socket_.native_handle(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno != EAGAIN && errno != ENOBUFS) segments_ = false;
    return false;
}

asio::awaitable<bool> Session::send(ByteSpan packet) {
    const auto [ec, n] = co_await socket_.async_send_to(asio::buffer(packet.data(), packet.size()), client_, nothrow_await);
    // A full queue or a passing fault is a lost packet: the client asks again.
    co_return !ec || ec == asio::error::no_buffer_space || ec == asio::error::connection_refused || ec == asio::error::host_unreachable;
}

}  // namespace diskless::tftp
