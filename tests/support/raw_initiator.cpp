#include "tests/support/raw_initiator.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "services/iscsi/chap.hpp"
#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::test {
namespace {

constexpr timeval patience{.tv_sec = 10, .tv_usec = 0};

}  // namespace

Bytes encode(Pdu pdu, wire::Digests digests) {
    pdu.ahs.resize((pdu.ahs.size() + 3) / 4 * 4);
    if (!pdu.ahs.empty()) pdu.bhs[4] = static_cast<std::byte>(pdu.ahs.size() / 4);
    if (!pdu.data.empty()) wire::set_data_segment_length(pdu.bhs, pdu.data.size());
    Bytes bytes{pdu.bhs.begin(), pdu.bhs.end()};
    bytes.insert(bytes.end(), pdu.ahs.begin(), pdu.ahs.end());
    const auto append_digest = [&](std::size_t from) {
        wire::Crc32c crc;
        crc.add(ByteSpan{bytes}.subspan(from));
        std::array<std::byte, wire::digest_bytes> four{};
        crc.store(four);
        bytes.insert(bytes.end(), four.begin(), four.end());
    };
    if (digests.header) append_digest(0);
    if (pdu.data.empty()) return bytes;
    const std::size_t data_at = bytes.size();
    bytes.insert(bytes.end(), pdu.data.begin(), pdu.data.end());
    bytes.resize(bytes.size() + wire::padding_of(pdu.data.size()));
    if (digests.data) append_digest(data_at);
    return bytes;
}

Bytes text_segment(const Keys& keys) {
    std::string text;
    for (const auto& [key, value] : keys) text += key + "=" + value + '\0';
    const ByteSpan bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
}

Bytes pattern(std::size_t size, unsigned seed) {
    Bytes bytes(size);
    std::uint32_t state = seed * 2654435761u + 1;
    for (std::byte& byte : bytes) {
        state = state * 1664525u + 1013904223u;
        byte = static_cast<std::byte>(state >> 24);
    }
    return bytes;
}

RawInitiator::RawInitiator(std::uint16_t port) : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw std::system_error{errno, std::generic_category(), "connect"};
    }
}

void RawInitiator::close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

void RawInitiator::send_bytes(ByteSpan bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0) throw std::system_error{errno, std::generic_category(), "send"};
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

bool RawInitiator::receive_bytes(MutableByteSpan bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::recv(socket_, bytes.data(), bytes.size(), 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) return false;
        if (n < 0) throw std::system_error{errno, std::generic_category(), "recv"};
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return true;
}

std::optional<Pdu> RawInitiator::receive() {
    Pdu pdu;
    if (!receive_bytes(pdu.bhs)) return std::nullopt;
    const auto layout = wire::layout_of(pdu.bhs, digests, 1u << 24);
    if (!layout) throw std::runtime_error{"the target sent a malformed header"};
    Bytes head(layout->header_bytes());
    std::ranges::copy(pdu.bhs, head.begin());
    if (!receive_bytes(MutableByteSpan{head}.subspan(wire::bhs_bytes))) return std::nullopt;
    if (!wire::header_digest_holds(head, *layout)) throw std::runtime_error{"header digest of the target is wrong"};
    Bytes rest(layout->data_bytes + layout->trailer_bytes());
    if (!receive_bytes(rest)) return std::nullopt;
    if (layout->data_digest_bytes != 0) {
        wire::Crc32c crc;
        crc.add(ByteSpan{rest}.first(layout->data_bytes + layout->padding_bytes));
        if (!crc.matches(ByteSpan{rest}.last(wire::digest_bytes))) throw std::runtime_error{"data digest of the target is wrong"};
    }
    rest.resize(layout->data_bytes);
    pdu.data = std::move(rest);
    const auto numbers = wire::SequenceNumbers::decode(pdu.bhs);
    exp_cmd_sn = numbers.exp_cmd_sn;
    max_cmd_sn = numbers.max_cmd_sn;
    return pdu;
}

bool RawInitiator::is_closed() {
    while (receive()) {
    }
    return true;
}

wire::LoginResponse RawInitiator::login(const std::string& initiator, const std::string& target, Keys further, wire::Isid isid) {
    Keys keys{{"InitiatorName", initiator}};
    if (target.empty()) {
        keys.emplace_back("SessionType", "Discovery");
    } else {
        keys.emplace_back("SessionType", "Normal");
        keys.emplace_back("TargetName", target);
    }
    bool wants_header_digest = false, wants_data_digest = false;
    for (const auto& [key, value] : further) {
        wants_header_digest = wants_header_digest || (key == "HeaderDigest" && value == "CRC32C");
        wants_data_digest = wants_data_digest || (key == "DataDigest" && value == "CRC32C");
    }
    keys.insert(keys.end(), further.begin(), further.end());
    const wire::LoginRequest request{.transit = true,
                                     .current_stage = wire::Stage::login_operational_negotiation,
                                     .next_stage = wire::Stage::full_feature_phase,
                                     .isid = isid,
                                     .initiator_task_tag = next_tag++,
                                     .cmd_sn = cmd_sn,
                                     .exp_stat_sn = exp_stat_sn};
    send(make_pdu(request, text_segment(keys)));
    const auto answer = receive();
    if (!answer) throw std::runtime_error{"the target closed the connection instead of answering the login"};
    const auto response = wire::LoginResponse::decode(answer->bhs);
    login_text = answer->text();
    exp_stat_sn = response.numbers.stat_sn + 1;
    if (response.status == wire::LoginStatus::success) digests = {.header = wants_header_digest, .data = wants_data_digest};
    return response;
}

wire::LoginResponse RawInitiator::login_chap(const std::string& initiator, const std::string& target, const std::string& user,
                                             const std::string& secret, Keys* target_proof) {
    wire::LoginRequest request{
        .next_stage = wire::Stage::security_negotiation, .isid = {{std::byte{0x80}}}, .initiator_task_tag = next_tag++, .cmd_sn = cmd_sn};
    wire::LoginResponse response;
    const auto say = [&](const Keys& keys) {
        request.exp_stat_sn = exp_stat_sn;
        send(make_pdu(request, text_segment(keys)));
        const auto answer = receive();
        if (!answer) throw std::runtime_error{"the target closed the connection instead of answering the login"};
        response = wire::LoginResponse::decode(answer->bhs);
        login_text = answer->text();
        exp_stat_sn = response.numbers.stat_sn + 1;
        return response.status == wire::LoginStatus::success;
    };
    Keys first{{"InitiatorName", initiator}, {"SessionType", target.empty() ? "Discovery" : "Normal"}, {"AuthMethod", "CHAP,None"}};
    if (!target.empty()) first.emplace_back("TargetName", target);
    if (!say(first) || !say({{"CHAP_A", "5"}})) return response;
    const auto question = wire::parse_text(login_text).value();
    const auto identifier = static_cast<std::uint8_t>(wire::parse_number(wire::find_key(question, "CHAP_I").value()).value());
    const auto challenge = iscsi::parse_binary(wire::find_key(question, "CHAP_C").value()).value();
    const auto proof = iscsi::chap_response(iscsi::ChapAlgorithm::md5, identifier, secret, challenge);
    Keys last{{"CHAP_N", user}, {"CHAP_R", iscsi::print_binary(proof)}};
    if (target_proof != nullptr) last.insert(last.end(), {{"CHAP_I", "3"}, {"CHAP_C", "0x0102030405060708090a0b0c0d0e0f10"}});
    request.transit = true;
    request.next_stage = wire::Stage::full_feature_phase;
    if (!say(last) || target_proof == nullptr) return response;
    for (const auto& [key, value] : wire::parse_text(login_text).value()) target_proof->emplace_back(key, value);
    return response;
}

wire::ScsiCommand RawInitiator::command(std::vector<std::uint8_t> cdb, std::uint32_t expected, bool read, bool write) {
    wire::ScsiCommand command{.read = read,
                              .write = write,
                              .attributes = 1,
                              .initiator_task_tag = next_tag++,
                              .expected_data_transfer_length = expected,
                              .cmd_sn = cmd_sn++,
                              .exp_stat_sn = exp_stat_sn};
    std::ranges::transform(cdb, command.cdb.begin(), [](std::uint8_t byte) { return static_cast<std::byte>(byte); });
    return command;
}

void RawInitiator::send_data_out(std::uint32_t tag, std::uint32_t transfer_tag, const Bytes& out, std::size_t from, std::size_t to) {
    std::uint32_t data_sn = 0;
    for (std::size_t at = from; at < to;) {
        const std::size_t length = std::min(segment, to - at);
        const wire::DataOut header{.final = at + length == to,
                                   .initiator_task_tag = tag,
                                   .target_transfer_tag = transfer_tag,
                                   .exp_stat_sn = exp_stat_sn,
                                   .data_sn = data_sn++,
                                   .buffer_offset = static_cast<std::uint32_t>(at)};
        const auto begin = out.begin() + static_cast<std::ptrdiff_t>(at);
        send(make_pdu(header, Bytes{begin, begin + static_cast<std::ptrdiff_t>(length)}));
        at += length;
    }
}

RawInitiator::Result RawInitiator::run(const wire::ScsiCommand& command, const Bytes& out, std::size_t immediate, std::size_t unsolicited) {
    wire::ScsiCommand request = command;
    request.final = unsolicited == 0;
    send(make_pdu(request, Bytes{out.begin(), out.begin() + static_cast<std::ptrdiff_t>(immediate)}));
    if (unsolicited != 0) send_data_out(request.initiator_task_tag, wire::reserved_tag, out, immediate, immediate + unsolicited);
    Result result;
    for (;;) {
        const auto pdu = receive();
        if (!pdu) return result;
        switch (pdu->opcode()) {
            case wire::Opcode::r2t: {
                const auto r2t = wire::R2t::decode(pdu->bhs);
                ++result.r2ts;
                send_data_out(r2t.initiator_task_tag, r2t.target_transfer_tag, out, r2t.buffer_offset,
                              r2t.buffer_offset + r2t.desired_data_transfer_length);
                break;
            }
            case wire::Opcode::data_in: {
                const auto header = wire::DataIn::decode(pdu->bhs);
                if (header.data_sn != result.data_pdus++ || header.buffer_offset != result.data.size())
                    throw std::runtime_error{"Data-In out of order"};
                result.data.insert(result.data.end(), pdu->data.begin(), pdu->data.end());
                if (!header.has_status) break;
                result.status = header.status;
                result.residual = header.residual;
                result.collapsed = true;
                exp_stat_sn = header.numbers.stat_sn + 1;
                return result;
            }
            case wire::Opcode::scsi_response: {
                const auto response = wire::ScsiResponse::decode(pdu->bhs);
                result.status = response.status;
                result.residual = response.residual;
                if (pdu->data.size() > 2) result.sense.assign(pdu->data.begin() + 2, pdu->data.end());
                exp_stat_sn = response.numbers.stat_sn + 1;
                return result;
            }
            case wire::Opcode::nop_in: break;
            default: throw std::runtime_error{"unexpected PDU"};
        }
    }
}

RawInitiator::Result RawInitiator::read(std::uint64_t lba, std::uint32_t blocks, std::uint64_t lun) {
    auto request = command(read_10(static_cast<std::uint32_t>(lba), static_cast<std::uint16_t>(blocks)), blocks * block_bytes, true, false);
    request.lun = wire::lun_field(static_cast<std::uint16_t>(lun));
    return run(request);
}

RawInitiator::Result RawInitiator::write(std::uint64_t lba, const Bytes& data, std::size_t immediate, std::size_t unsolicited) {
    const auto blocks = static_cast<std::uint16_t>(data.size() / block_bytes);
    return run(command(write_10(static_cast<std::uint32_t>(lba), blocks), static_cast<std::uint32_t>(data.size()), false, true), data,
               immediate, unsolicited);
}

RawInitiator::Result RawInitiator::test_unit_ready() { return run(command({0, 0, 0, 0, 0, 0}, 0, false, false)); }

std::vector<std::uint8_t> read_10(std::uint32_t lba, std::uint16_t blocks) {
    const auto byte = [](std::uint32_t value, unsigned shift) { return static_cast<std::uint8_t>(value >> shift); };
    return {0x28, 0, byte(lba, 24), byte(lba, 16), byte(lba, 8), byte(lba, 0), 0, byte(blocks, 8), byte(blocks, 0), 0};
}

std::vector<std::uint8_t> write_10(std::uint32_t lba, std::uint16_t blocks) {
    auto cdb = read_10(lba, blocks);
    cdb[0] = 0x2a;
    return cdb;
}

}  // namespace diskless::test
