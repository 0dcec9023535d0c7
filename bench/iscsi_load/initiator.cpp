#include "bench/iscsi_load/initiator.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::bench {
namespace {

constexpr std::uint32_t our_max_segment = 262144;
constexpr std::size_t input_room = std::size_t{320} << 10;  // a PDU and a little more: what stays in the cache is cheap

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error{what}; }

void read_exactly(int socket, MutableByteSpan into) {
    while (!into.empty()) {
        const ssize_t n = ::recv(socket, into.data(), into.size(), 0);
        if (n <= 0) give_up("the target closed the connection");
        into = into.subspan(static_cast<std::size_t>(n));
    }
}

void append(std::vector<std::byte>& to, ByteSpan bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace

Initiator::Initiator(const Workload& workload, unsigned number, Region region, Outcome& outcome)
    : workload_{workload}, region_{std::move(region)}, outcome_{outcome}, random_{number}, slots_(workload.depth), input_(input_room) {
    connect();
    log_in(number);
    ::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) | O_NONBLOCK);
}

Initiator::~Initiator() { ::close(socket_); }

void Initiator::connect() {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(workload_.address.value);
    to.sin_port = htons(workload_.port);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
        give_up(std::string{"cannot connect: "} + std::strerror(errno));
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void Initiator::log_in(unsigned number) {
    wire::LoginRequest request{.transit = true,
                               .current_stage = wire::Stage::login_operational_negotiation,
                               .next_stage = wire::Stage::full_feature_phase,
                               .cmd_sn = cmd_sn_};
    request.isid.octets[0] = std::byte{0x80};
    request.isid.octets[4] = static_cast<std::byte>(number >> 8);
    request.isid.octets[5] = static_cast<std::byte>(number);
    const char* digest = workload_.digests ? "CRC32C" : "None";
    std::string text;
    for (const auto& [key, value] :
         std::initializer_list<std::pair<const char*, std::string>>{{"InitiatorName", workload_.initiator},
                                                                    {"TargetName", workload_.target},
                                                                    {"SessionType", "Normal"},
                                                                    {"HeaderDigest", digest},
                                                                    {"DataDigest", digest},
                                                                    {"InitialR2T", "No"},
                                                                    {"ImmediateData", "Yes"},
                                                                    {"MaxRecvDataSegmentLength", std::to_string(our_max_segment)},
                                                                    {"MaxBurstLength", "1048576"},
                                                                    {"FirstBurstLength", "262144"},
                                                                    {"MaxOutstandingR2T", "4"}})
        wire::append_text(text, key, value);
    wire::Bhs bhs{};
    request.encode(bhs);
    send(bhs, as_bytes(text));
    for (; sent_ < output_.size();) {
        const ssize_t n = ::send(socket_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
        if (n <= 0) give_up("the target closed the connection at login");
        sent_ += static_cast<std::size_t>(n);
    }
    read_exactly(socket_, bhs);
    std::vector<std::byte> answer(wire::data_segment_length_of(bhs) + wire::padding_of(wire::data_segment_length_of(bhs)));
    read_exactly(socket_, answer);
    const auto response = wire::LoginResponse::decode(bhs);
    if (response.status != wire::LoginStatus::success || !response.transit)
        give_up("the login was refused, status " + std::to_string(static_cast<unsigned>(response.status)));
    answer.resize(wire::data_segment_length_of(bhs));
    const auto keys = wire::parse_text(as_text(answer));
    if (!keys) give_up("the target's keys cannot be read");
    const auto number_of = [&](std::string_view key, std::uint32_t otherwise) {
        const auto value = wire::find_key(*keys, key);
        return value ? wire::parse_number(*value).value_or(otherwise) : otherwise;
    };
    max_segment_ = number_of("MaxRecvDataSegmentLength", max_segment_);
    first_burst_ = number_of("FirstBurstLength", first_burst_);
    initial_r2t_ = wire::find_key(*keys, "InitialR2T") != "No";
    immediate_data_ = wire::find_key(*keys, "ImmediateData") == "Yes";
    digests_ = {.header = wire::find_key(*keys, "HeaderDigest") == "CRC32C", .data = wire::find_key(*keys, "DataDigest") == "CRC32C"};
    exp_stat_sn_ = response.numbers.stat_sn + 1;
    max_cmd_sn_ = response.numbers.max_cmd_sn;
}

void Initiator::send(const wire::Bhs& bhs, ByteSpan data) {
    if (sent_ == output_.size()) {
        output_.clear();
        sent_ = 0;
    }
    wire::Bhs header = bhs;
    wire::set_data_segment_length(header, data.size());
    append(output_, header);
    const auto digest = [this](std::initializer_list<ByteSpan> over) {
        wire::Crc32c crc;
        for (const ByteSpan bytes : over) crc.add(bytes);
        std::array<std::byte, wire::digest_bytes> value{};
        crc.store(value);
        append(output_, value);
    };
    if (digests_.header) digest({header});
    if (data.empty()) return;
    constexpr std::array<std::byte, 4> zeros{};
    const ByteSpan padding = ByteSpan{zeros}.first(wire::padding_of(data.size()));
    append(output_, data);
    append(output_, padding);
    if (digests_.data) digest({data, padding});
}

bool Initiator::choose(Command& command) {
    const std::uint32_t bytes = workload_.sizes[random_() % workload_.sizes.size()];
    const std::uint64_t count = bytes / Region::block_bytes;
    command.write = begun_ && random_() % 100 < workload_.write_percent;
    const std::uint64_t places = region_.blocks() / count;
    // Checked data is shared out block by block; otherwise commands may overlap, and lie at multiples of their size.
    if (workload_.sequential) {
        if (next_offset_ + count > region_.blocks()) next_offset_ = 0;
        command.offset = next_offset_;
    } else {
        command.offset = workload_.verify ? random_() % (region_.blocks() - count + 1) : random_() % places * count;
    }
    if (workload_.verify && !region_.claim(command.offset, count)) return false;
    if (workload_.sequential) next_offset_ += count;
    command.data.resize(bytes);
    if (command.write && workload_.verify) region_.fill(command.offset, command.data);
    return true;
}

void Initiator::start_commands(bool draining) {
    if (draining) return;
    for (std::uint32_t tag = 0; tag < slots_.size() && under_way_ < slots_.size(); ++tag) {
        if (slots_[tag].active) continue;
        if (static_cast<std::int32_t>(max_cmd_sn_ - cmd_sn_) < 0) return;  // the window is closed
        if (!choose(slots_[tag])) continue;
        start(tag);
    }
}

void Initiator::start(std::uint32_t tag) {
    Command& command = slots_[tag];
    command.active = true;
    begun_ = true;
    command.started = Clock::now();
    ++under_way_;
    const auto bytes = static_cast<std::uint32_t>(command.data.size());
    const std::uint32_t immediate = command.write && immediate_data_ ? std::min({bytes, first_burst_, max_segment_}) : 0;
    const std::uint32_t unsolicited = command.write && !initial_r2t_ ? std::min(bytes, first_burst_) : immediate;
    wire::ScsiCommand request{.final = unsolicited == immediate,
                              .read = !command.write,
                              .write = command.write,
                              .attributes = 1,
                              .lun = workload_.lun << 48,
                              .initiator_task_tag = tag,
                              .expected_data_transfer_length = bytes,
                              .cmd_sn = cmd_sn_++,
                              .exp_stat_sn = exp_stat_sn_};
    request.cdb[0] = std::byte{command.write ? std::uint8_t{0x8a} : std::uint8_t{0x88}};
    store_be(MutableByteSpan{request.cdb}, 2, region_.first_block() + command.offset);
    store_be(MutableByteSpan{request.cdb}, 10, static_cast<std::uint32_t>(bytes / Region::block_bytes));
    wire::Bhs bhs{};
    request.encode(bhs);
    send(bhs, ByteSpan{command.data}.first(immediate));
    if (unsolicited != immediate) send_data(tag, wire::reserved_tag, immediate, unsolicited - immediate);
}

void Initiator::send_data(std::uint32_t tag, std::uint32_t transfer_tag, std::uint32_t offset, std::uint32_t length) {
    const ByteSpan data = ByteSpan{slots_[tag].data}.subspan(offset, length);
    std::uint32_t data_sn = 0;
    for (std::uint32_t done = 0; done < length; ++data_sn) {
        const std::uint32_t now = std::min(length - done, max_segment_);
        wire::Bhs bhs{};
        wire::DataOut{.final = done + now == length,
                      .lun = workload_.lun << 48,
                      .initiator_task_tag = tag,
                      .target_transfer_tag = transfer_tag,
                      .exp_stat_sn = exp_stat_sn_,
                      .data_sn = data_sn,
                      .buffer_offset = offset + done}
            .encode(bhs);
        send(bhs, data.subspan(done, now));
        done += now;
    }
}

void Initiator::transmit() {
    while (wants_to_write()) {
        const ssize_t n = ::send(socket_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (n < 0) give_up("the session is broken");
        sent_ += static_cast<std::size_t>(n);
    }
}

void Initiator::receive() {
    const ssize_t n = ::recv(socket_, input_.data() + received_, input_.size() - received_, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) give_up("the target closed the connection");
    received_ += static_cast<std::size_t>(n);
    std::size_t used = 0;
    while (received_ - used >= wire::bhs_bytes) {
        const ByteSpan rest = ByteSpan{input_}.subspan(used, received_ - used);
        const auto layout = wire::layout_of(rest, digests_, our_max_segment);
        if (!layout) give_up("the target sends what is no PDU");
        if (rest.size() < layout->total_bytes()) break;
        if (!wire::header_digest_holds(rest, *layout)) give_up("a header digest is wrong");
        if (layout->data_digest_bytes != 0) {
            wire::Crc32c crc;
            crc.add(rest.subspan(layout->header_bytes(), layout->data_bytes + layout->padding_bytes));
            if (!crc.matches(rest.subspan(layout->header_bytes() + layout->data_bytes + layout->padding_bytes)))
                give_up("a data digest is wrong");
        }
        receive_pdu(rest.first(wire::bhs_bytes), rest.subspan(layout->header_bytes(), layout->data_bytes));
        used += layout->total_bytes();
    }
    std::memmove(input_.data(), input_.data() + used, received_ - used);
    received_ -= used;
}

void Initiator::receive_pdu(ByteSpan bhs, ByteSpan data) {
    const auto numbers = wire::SequenceNumbers::decode(bhs);
    max_cmd_sn_ = numbers.max_cmd_sn;
    const std::uint32_t tag = wire::initiator_task_tag_of(bhs);
    const auto known = [&] {
        if (tag >= slots_.size() || !slots_[tag].active) give_up("the target answers a command that was not asked");
    };
    switch (wire::opcode_of(bhs)) {
        case wire::Opcode::data_in: {
            known();
            const auto header = wire::DataIn::decode(bhs);
            Command& command = slots_[tag];
            if (command.write || header.buffer_offset + data.size() > command.data.size()) give_up("data that was not asked for");
            std::memcpy(command.data.data() + header.buffer_offset, data.data(), data.size());
            if (!header.has_status) return;
            exp_stat_sn_ = numbers.stat_sn + 1;
            return finish(tag, header.status);
        }
        case wire::Opcode::r2t: {
            known();
            const auto header = wire::R2t::decode(bhs);
            return send_data(tag, header.target_transfer_tag, header.buffer_offset, header.desired_data_transfer_length);
        }
        case wire::Opcode::scsi_response:
            known();
            exp_stat_sn_ = numbers.stat_sn + 1;
            return finish(tag, wire::ScsiResponse::decode(bhs).status);
        case wire::Opcode::nop_in: {
            const auto ping = wire::NopIn::decode(bhs);
            if (ping.target_transfer_tag == wire::reserved_tag) return;
            wire::Bhs answer{};
            wire::NopOut{.lun = ping.lun, .target_transfer_tag = ping.target_transfer_tag, .cmd_sn = cmd_sn_, .exp_stat_sn = exp_stat_sn_}
                .encode(answer);
            return send(answer, {});
        }
        default: give_up("the target sends PDU " + std::to_string(static_cast<unsigned>(wire::opcode_of(bhs))));
    }
}

void Initiator::finish(std::uint32_t tag, std::uint8_t status) {
    constexpr std::uint8_t good = 0;
    Command& command = slots_[tag];
    command.active = false;
    --under_way_;
    const std::uint64_t count = command.data.size() / Region::block_bytes;
    if (workload_.verify) region_.release(command.offset, count);
    if (status != good) {
        // The first command, a read, hears that the unit was powered on.
        if (std::exchange(attention_heard_, true)) ++outcome_.errors;
        return;
    }
    if (workload_.verify && !command.write) outcome_.wrong_blocks += region_.wrong_blocks(command.offset, command.data);
    ++outcome_.commands;
    ++ended_;
    outcome_.bytes += command.data.size();
    const auto taken = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - command.started).count();
    outcome_.latencies_us.push_back(static_cast<std::uint32_t>(taken));
}

}  // namespace diskless::bench
