#include "services/iscsi/endpoint.hpp"

#include <algorithm>
#include <utility>

#include "common/assert.hpp"

namespace diskless::iscsi {
namespace {

/// Before anything else is agreed, nobody sends more in one PDU (RFC 7143 13.12).
constexpr std::size_t login_data_segment_bytes = 8192;

}  // namespace

Endpoint::Endpoint(const Limits& limits, EndpointHost& host, TaskSink& sink, BufferWaiter& waiter, BufferPool& buffers,
                   SessionStatistics& statistics)
    : limits_{limits},
      host_{host},
      sink_{sink},
      waiter_{waiter},
      buffers_{buffers},
      statistics_{statistics},
      input_{buffers},
      login_{std::make_unique<Login>(limits)} {}

std::array<MutableByteSpan, 2> Endpoint::want() noexcept {
    const MutableByteSpan room = input_.room();
    if (place_.empty()) return {room, {}};
    return {place_, room};
}

void Endpoint::received(std::size_t bytes) noexcept {
    const std::size_t in_place = std::min(bytes, place_.size());
    if (in_place != 0) {
        if (layout_.data_digest_bytes != 0) data_crc_.add(place_.first(in_place));
        place_ = place_.subspan(in_place);
    }
    input_.committed(bytes - in_place);
}

bool Endpoint::may_read() const noexcept {
    if (login_out_ || opening_ || refused_) return false;
    return session_ == nullptr || !session_->congested();
}

Endpoint::Progress Endpoint::process() {
    for (unsigned pdus = 0; pdus < max_pdus_per_pass; ++pdus) {
        do {
            if (step_ == Step::lost) return Progress::starved;
            if (step_ == Step::header && !may_read()) return Progress::blocked;
            if (!advance()) {
                input_.adapt();
                return Progress::starved;
            }
        } while (step_ != Step::header);
        if (session_ != nullptr && session_->unsent_bytes() >= full_bytes) return Progress::full;
    }
    return Progress::more;
}

/// One step of the PDU under way; false: more bytes are needed.
bool Endpoint::advance() {
    switch (step_) {
        case Step::header: return read_header();
        case Step::data: return read_data();
        case Step::trailer: return read_trailer();
        case Step::lost: break;
    }
    return false;
}

bool Endpoint::read_header() {
    const ByteSpan bytes = input_.bytes();
    if (bytes.size() < wire::bhs_bytes) return false;
    const std::size_t max_data = session_ == nullptr ? login_data_segment_bytes : limits_.max_recv_data_segment_length;
    const auto layout = wire::layout_of(bytes, digests_, max_data);
    if (!layout) {
        lose(layout.error().reason);
        return true;
    }
    if (bytes.size() < layout->header_bytes()) return false;
    layout_ = *layout;
    if (!wire::header_digest_holds(bytes, layout_)) {
        lose("header_digest");  // where the next PDU begins is not to be trusted any more (RFC 7143 7.7)
        return true;
    }
    std::ranges::copy(bytes.first(wire::bhs_bytes), bhs_.begin());
    Session::Placement placement{.kind = Session::Placement::Kind::collect};
    if (session_ != nullptr) {
        placement = session_->begin(bhs_, bytes.subspan(wire::bhs_bytes, layout_.ahs_bytes));
    }
    input_.consume(layout_.header_bytes());
    place_ = {};
    to_discard_ = 0;
    data_crc_ = {};
    switch (placement.kind) {
        case Session::Placement::Kind::discard: to_discard_ = layout_.data_bytes; break;
        case Session::Placement::Kind::store: place_ = placement.into; break;
        case Session::Placement::Kind::collect:
            collected_.resize(layout_.data_bytes);
            place_ = collected_;
            break;
    }
    step_ = Step::data;
    return true;
}

bool Endpoint::read_data() noexcept {
    const ByteSpan bytes = input_.bytes();
    const std::size_t taken = std::min(bytes.size(), place_.size() + to_discard_);
    if (taken != 0 && layout_.data_digest_bytes != 0) data_crc_.add(bytes.first(taken));
    if (!place_.empty()) {
        std::ranges::copy(bytes.first(taken), place_.begin());
        place_ = place_.subspan(taken);
    } else {
        to_discard_ -= taken;
    }
    input_.consume(taken);
    if (!place_.empty() || to_discard_ != 0) return false;
    step_ = Step::trailer;
    return true;
}

bool Endpoint::read_trailer() {
    const ByteSpan bytes = input_.bytes();
    if (bytes.size() < layout_.trailer_bytes()) return false;
    bool holds = true;
    if (layout_.data_digest_bytes != 0) {
        data_crc_.add(bytes.first(layout_.padding_bytes));
        holds = data_crc_.matches(bytes.subspan(layout_.padding_bytes));
    }
    input_.consume(layout_.trailer_bytes());
    step_ = Step::header;
    finish_pdu(holds);
    return true;
}

void Endpoint::finish_pdu(bool data_digest_holds) {
    if (session_ == nullptr) return login_pdu();
    session_->end(collected_, data_digest_holds);
    collected_.clear();
}

void Endpoint::login_pdu() {
    const std::vector<std::byte> data = std::exchange(collected_, {});
    LoginReply reply = wire::opcode_of(bhs_) == wire::Opcode::login_request
                           ? login_->receive(wire::LoginRequest::decode(bhs_), as_text(data), host_)
                           : login_->unexpected(bhs_);
    if (reply.next == LoginReply::Next::complete) {
        opening_ = true;
        host_.open_session(*login_);
        return;
    }
    if (reply.next == LoginReply::Next::refuse) {
        refused_ = true;
        failure_ = reply.reason;
    }
    reply.response.encode(login_out_.emplace().bhs);
    login_out_->text = std::move(reply.text);
}

void Endpoint::open(const SessionSetup& setup, std::uint16_t tsih) {
    DISKLESS_ASSERT(opening_);
    opening_ = false;
    LoginReply reply = login_->finish(tsih);
    reply.response.encode(login_out_.emplace().bhs);
    login_out_->text = std::move(reply.text);
    SessionSetup complete = setup;
    complete.parameters = login_->parameters();
    complete.type = login_->identity().type;
    complete.limits = limits_;
    complete.cmd_sn = login_->cmd_sn();
    complete.stat_sn = login_->next_stat_sn();
    complete.cid = login_->identity().cid;
    digests_ = complete.parameters.digests;
    session_ = std::make_unique<Session>(complete, host_, sink_, waiter_, buffers_, statistics_);
}

void Endpoint::refuse(wire::LoginStatus status, std::string_view reason) {
    DISKLESS_ASSERT(opening_);
    opening_ = false;
    refused_ = true;
    failure_ = reason;
    login_->refuse(status, reason).response.encode(login_out_.emplace().bhs);
}

Batch& Endpoint::batch() {
    if (!batch_) batch_ = std::make_unique<Batch>();
    return *batch_;
}

std::span<iovec> Endpoint::to_send() {
    if (batch_ && !batch_->empty()) return batch_->pieces();
    if (login_out_) {
        batch().add(login_out_->bhs, as_bytes(login_out_->text), {}, nullptr);
        login_in_batch_ = true;
    } else if (session_ && session_->wants_to_send()) {
        session_->fill(batch());
    }
    return batch_ ? batch_->pieces() : std::span<iovec>{};
}

void Endpoint::written(std::size_t bytes) {
    if (!batch_->advance(bytes)) return;
    if (std::exchange(login_in_batch_, false)) {
        login_out_.reset();
        batch_->clear();
    } else {
        session_->sent(*batch_);
    }
}

void Endpoint::lose(std::string_view reason) noexcept {
    failure_ = reason;
    step_ = Step::lost;
}

bool Endpoint::finished() noexcept {
    const bool over = step_ == Step::lost || refused_ || (session_ && session_->closing());
    return over && !login_out_ && (!batch_ || batch_->empty()) && (!session_ || !session_->wants_to_send());
}

std::string_view Endpoint::failure() const noexcept {
    if (!failure_.empty() || !session_) return failure_;
    return session_->failure();
}

void Endpoint::trim() noexcept {
    if (session_) session_->trim();
    if (batch_ && batch_->empty()) batch_.reset();
    if (step_ == Step::header) collected_.shrink_to_fit();
}

}  // namespace diskless::iscsi
