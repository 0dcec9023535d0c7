#include "services/tftp/burst.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/assert.hpp"

namespace diskless::tftp {
namespace {

bool is_full(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

msghdr message_to(const asio::ip::udp::endpoint& to, iovec& bytes) noexcept {
    msghdr message{};
    message.msg_name = const_cast<sockaddr*>(to.data());  // the kernel only reads it
    message.msg_namelen = static_cast<socklen_t>(to.size());
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    return message;
}

ssize_t send_segmented(int socket, const asio::ip::udp::endpoint& to, MutableByteSpan datagrams, std::size_t datagram_bytes) noexcept {
    iovec bytes{datagrams.data(), datagrams.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    msghdr message = message_to(to, bytes);
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* segment = CMSG_FIRSTHDR(&message);
    segment->cmsg_level = SOL_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(datagram_bytes);
    std::memcpy(CMSG_DATA(segment), &size, sizeof size);
    return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// How many went out, or -1.
int send_many(int socket, const asio::ip::udp::endpoint& to, MutableByteSpan datagrams, std::size_t datagram_bytes) noexcept {
    std::array<iovec, Burst::max_datagrams> bytes;       // NOLINT(cppcoreguidelines-pro-type-member-init): the first `count` are set
    std::array<mmsghdr, Burst::max_datagrams> messages;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    unsigned count = 0;
    for (; !datagrams.empty() && count < Burst::max_datagrams; ++count) {
        const MutableByteSpan one = datagrams.first(std::min(datagrams.size(), datagram_bytes));
        bytes[count] = {one.data(), one.size()};
        messages[count] = {.msg_hdr = message_to(to, bytes[count]), .msg_len = 0};
        datagrams = datagrams.subspan(one.size());
    }
    return ::sendmmsg(socket, messages.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

std::size_t Burst::send(asio::ip::udp::socket& socket, const asio::ip::udp::endpoint& to, MutableByteSpan datagrams,
                        std::size_t datagram_bytes) noexcept {
    if (segments_ && datagrams.size() > datagram_bytes) {
        DISKLESS_ASSERT(datagrams.size() <= max_bytes);
        if (send_segmented(socket.native_handle(), to, datagrams, datagram_bytes) >= 0) return datagrams.size();
        if (is_full(errno)) return 0;
        if (errno == ENOBUFS) return datagrams.size();
        segments_ = false;
    }
    if (datagrams.size() <= datagram_bytes) {  // lock-step, the most common: the plainest call
        const ssize_t sent = ::sendto(socket.native_handle(), datagrams.data(), datagrams.size(), MSG_DONTWAIT | MSG_NOSIGNAL, to.data(),
                                      static_cast<socklen_t>(to.size()));
        return sent < 0 && is_full(errno) ? 0 : datagrams.size();
    }
    const int sent = send_many(socket.native_handle(), to, datagrams, datagram_bytes);
    if (sent < 0 && is_full(errno)) return 0;
    const std::size_t gone = static_cast<std::size_t>(std::max(sent, 1)) * datagram_bytes;
    return std::min(gone, datagrams.size());
}

}  // namespace diskless::tftp
