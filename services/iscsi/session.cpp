#include "services/iscsi/session.hpp"

#include <algorithm>
#include <utility>

#include "common/assert.hpp"
#include "services/iscsi/control.hpp"
#include "services/iscsi/negotiation.hpp"
#include "services/iscsi/wire/text_keys.hpp"

namespace diskless::iscsi {

using wire::Opcode;
using wire::RejectReason;

Session::Session(const SessionSetup& setup, SessionHost& host, TaskSink& sink, BufferWaiter& waiter, BufferPool& buffers,
                 SessionStatistics& statistics)
    : host_{host},
      waiter_{waiter},
      buffers_{buffers},
      statistics_{statistics},
      parameters_{setup.parameters},
      type_{setup.type},
      limits_{setup.limits},
      cid_{setup.cid},
      nexus_{setup.nexus},
      units_{setup.units},
      window_{setup.cmd_sn, setup.limits.queue_depth},
      stat_sn_{setup.stat_sn},
      tasks_{sink},
      text_{setup.limits.max_text_bytes} {}

Session::~Session() {
    DISKLESS_ASSERT(quiet());
    buffers_.forget(waiter_);
}

Session::Placement Session::begin(ByteSpan bhs, ByteSpan ahs) {
    std::ranges::copy(bhs.first(wire::bhs_bytes), current_.begin());
    current_task_ = nullptr;
    current_ignored_ = closing_ || answering_logout_;
    if (current_ignored_) return drop();
    switch (wire::opcode_of(bhs)) {
        case Opcode::scsi_command: return begin_command(bhs, ahs);
        case Opcode::data_out: return begin_data_out(bhs);
        case Opcode::nop_out:
        case Opcode::task_management_request:
        case Opcode::text_request:
        case Opcode::logout_request: {
            // All of these have CmdSN and the immediate bit where NOP-Out has them.
            const auto request = wire::NopOut::decode(bhs);
            if (!in_order(request.cmd_sn, request.immediate)) return drop();
            return {.kind = Placement::Kind::collect};
        }
        case Opcode::snack_request: return reject_with(RejectReason::snack_reject);
        case Opcode::login_request: return reject_with(RejectReason::protocol_error);
        default: return reject_with(RejectReason::command_not_supported);
    }
}

void Session::end(ByteSpan collected, bool data_digest_holds) {
    if (current_ignored_) return;
    if (Task* task = std::exchange(current_task_, nullptr)) {
        if (wire::opcode_of(current_) == Opcode::data_out) return end_data_out(*task, data_digest_holds);
        return end_command(*task, data_digest_holds);
    }
    if (wire::opcode_of(current_) == Opcode::data_out) return;  // the task has been failed already
    if (!data_digest_holds) {
        reject(RejectReason::data_digest_error);
        return fail("data_digest");
    }
    end_request(collected);
}

bool Session::in_order(std::uint32_t cmd_sn, bool immediate) {
    switch (window_.receive(cmd_sn, immediate)) {
        case CommandWindow::Verdict::accept: return true;
        case CommandWindow::Verdict::drop: statistics_.dropped_pdus.add(); break;
        case CommandWindow::Verdict::gap: fail("cmd_sn_gap"); break;
    }
    current_ignored_ = true;
    return false;
}

Session::Placement Session::reject_with(RejectReason reason_code) {
    current_ignored_ = true;
    reject(reason_code);
    return drop();
}

Session::Placement Session::begin_command(ByteSpan bhs, ByteSpan ahs) {
    const auto request = wire::ScsiCommand::decode(bhs);
    if (units_ == nullptr) return reject_with(RejectReason::command_not_supported);
    const auto additional = wire::additional_headers(ahs);
    if (!in_order(request.cmd_sn, request.immediate)) return drop();
    if (!additional || request.initiator_task_tag == wire::reserved_tag) return reject_with(RejectReason::invalid_pdu_field);
    if (tasks_.find(request.initiator_task_tag) != nullptr) return reject_with(RejectReason::task_in_progress);
    if (request.immediate && tasks_.size() >= limits_.queue_depth + max_immediate_tasks) {
        return reject_with(RejectReason::immediate_command_reject);
    }

    Task& task = tasks_.start(request.initiator_task_tag);
    current_task_ = &task;
    if (!request.immediate) {
        window_.task_started();
        task.in_window = true;
    }
    task.lun_field = request.lun;
    const auto lun = wire::flat_lun(request.lun);
    task.lun = lun ? *lun : ~std::uint64_t{0};  // a form of address that no unit has
    task.lun_statistics = statistics_of(task.lun);
    task.arrived = now_;
    count(task, &IoStatistics::commands);
    task.nexus = nexus_;
    task.expected_in = request.read ? request.expected_data_transfer_length : 0;
    task.expected_out = request.write ? request.expected_data_transfer_length : 0;
    task.cdb_bytes = request.cdb;
    task.cdb = task.cdb_bytes;
    if (!additional->extended_cdb.empty()) {
        task.extended_cdb.assign(request.cdb.begin(), request.cdb.end());
        task.extended_cdb.insert(task.extended_cdb.end(), additional->extended_cdb.begin(), additional->extended_cdb.end());
        task.cdb = task.extended_cdb;
    }
    return place_command(task, request, wire::data_segment_length_of(bhs));
}

/// Decides from the header what happens to the command, and where its immediate data goes. A command that fails here is answered by
/// end_command(), when its data segment has gone by.
Session::Placement Session::place_command(Task& task, const wire::ScsiCommand& request, std::uint32_t immediate_bytes) {
    using Direction = scsi::Transfer::Direction;
    const bool unsolicited_follows = request.write && !request.final;
    if (!WriteTransfer::allowed(parameters_, task.expected_out, immediate_bytes, unsolicited_follows)) {
        task.fail(scsi::SenseKey::aborted_command, sense_unexpected_unsolicited_data);
        task.phase = Task::Phase::responding;
        return drop();
    }
    if (request.read && request.write && request.expected_data_transfer_length != 0) {
        task.fail(scsi::SenseKey::illegal_request, scsi::asc::invalid_field_in_cdb);  // no bidirectional commands here
        task.phase = Task::Phase::responding;
        return drop();
    }
    task.announced_out = task.expected_out;
    const auto transfer = units_->examine(task);
    if (!transfer || transfer->length_bytes > BufferPool::max_buffer_bytes) {
        if (transfer) task.fail(scsi::SenseKey::illegal_request, scsi::asc::invalid_field_in_cdb);
        task.phase = Task::Phase::responding;
        return drop();
    }
    task.transfer = *transfer;
    if (transfer->direction != Direction::data_out) return drop();
    task.wanted_out = static_cast<std::uint32_t>(std::min<std::uint64_t>(task.expected_out, transfer->length_bytes));
    task.write = WriteTransfer{parameters_, task.expected_out, task.wanted_out, immediate_bytes, unsolicited_follows};
    if (immediate_bytes == 0 && !unsolicited_follows) return drop();
    if (!provide_buffer(task, BufferPool::Urgency::overdraft)) {
        task.status = scsi::Status::task_set_full;  // flow control that every operating system answers by trying again
        task.phase = Task::Phase::responding;
        return drop();
    }
    return {.kind = Placement::Kind::store, .into = task.buffer.span().first(immediate_bytes)};
}

void Session::end_command(Task& task, bool data_digest_holds) {
    if (!data_digest_holds) {
        // The command itself is damaged, and with error recovery level 0 its CmdSN can never be filled again (RFC 7143 7.8).
        reject(RejectReason::data_digest_error);
        retire(task);
        return fail("data_digest");
    }
    if (task.aborted) return retire(task);
    if (task.phase == Task::Phase::responding) return finish(task, false);
    proceed(task);
}

Session::Placement Session::begin_data_out(ByteSpan bhs) {
    const auto header = wire::DataOut::decode(bhs);
    const std::uint32_t length = wire::data_segment_length_of(bhs);
    Task* task = header.initiator_task_tag == wire::reserved_tag ? nullptr : tasks_.find(header.initiator_task_tag);
    const bool solicited = header.target_transfer_tag != wire::reserved_tag;
    if (task == nullptr || task->aborted || task->phase != Task::Phase::receiving ||
        (solicited && header.target_transfer_tag >> 16 != task->serial)) {
        statistics_.dropped_pdus.add();  // late data of a task that has been aborted or failed
        current_ignored_ = true;
        return drop();
    }
    const auto r2t_sn = solicited ? std::optional{header.target_transfer_tag & 0xffff} : std::nullopt;
    if (task->write.receive(header, length, r2t_sn) == WriteTransfer::Verdict::wrong) {
        fail_transfer(*task, sense_incorrect_amount_of_data);
        return drop();
    }
    current_task_ = task;
    return {.kind = Placement::Kind::store, .into = task->buffer.span().subspan(header.buffer_offset, length)};
}

void Session::end_data_out(Task& task, bool data_digest_holds) {
    if (task.aborted) {
        if (!task.queued) retire(task);
        return;
    }
    if (!data_digest_holds) {
        reject(RejectReason::data_digest_error);
        return fail_transfer(task, sense_protocol_service_crc_error);
    }
    proceed(task);
}

void Session::end_request(ByteSpan data) {
    switch (wire::opcode_of(current_)) {
        case Opcode::nop_out: return end_nop_out(data);
        case Opcode::task_management_request: return manage(wire::TaskManagementRequest::decode(current_));
        case Opcode::text_request: return end_text(data);
        default: return end_logout();
    }
}

void Session::end_nop_out(ByteSpan data) {
    const auto request = wire::NopOut::decode(current_);
    if (request.initiator_task_tag == wire::reserved_tag) return;  // answers our ping, or wants no answer
    Control& answer = control(true);
    wire::NopIn{.initiator_task_tag = request.initiator_task_tag}.encode(answer.bhs);
    const ByteSpan echo = data.first(std::min<std::size_t>(data.size(), parameters_.initiator_max_recv_data_segment_length));
    answer.data.assign(echo.begin(), echo.end());
}

void Session::end_text(ByteSpan data) {
    const auto request = wire::TextRequest::decode(current_);
    if (request.initiator_task_tag == wire::reserved_tag) return reject(RejectReason::invalid_pdu_field);
    wire::TextResponse response{.final = false, .lun = request.lun, .initiator_task_tag = request.initiator_task_tag};
    TextExchange::Piece piece;
    switch (text_.receive(request.target_transfer_tag, request.final, request.continues, as_text(data))) {
        case TextExchange::Next::wrong: return reject(RejectReason::protocol_error);
        case TextExchange::Next::ask:
            piece.final = false;
            piece.target_transfer_tag = text_.tag();
            break;
        case TextExchange::Next::answer: {
            bool refused = false;
            std::string answer = answer_text(text_.text(), refused);
            if (refused) return reject(RejectReason::protocol_error);
            text_.begin_answer(std::move(answer));
            [[fallthrough]];
        }
        case TextExchange::Next::proceed: piece = text_.next_piece(parameters_.initiator_max_recv_data_segment_length); break;
    }
    response.final = piece.final;
    response.continues = piece.continues;
    response.target_transfer_tag = piece.target_transfer_tag;
    Control& answer = control(true);
    response.encode(answer.bhs);
    const ByteSpan bytes = as_bytes(piece.text);
    answer.data.assign(bytes.begin(), bytes.end());
}

std::string Session::answer_text(const std::string& text, bool& refused) {
    const auto keys = wire::parse_text(text);
    refused = !keys;
    if (!keys) return {};
    std::string answer;
    Negotiation negotiation{limits_, type_, parameters_};
    for (const wire::TextKey& offer : *keys) {
        if (offer.key == "SendTargets") {
            if (const auto targets = host_.send_targets(offer.value)) {
                answer += *targets;
            } else {
                wire::append_text(answer, offer.key, answer_reject);
            }
        } else if (const auto reply = negotiation.answer(offer.key, offer.value, NegotiationPhase::full_feature)) {
            wire::append_text(answer, offer.key, *reply);
        }
    }
    parameters_ = negotiation.parameters();
    return answer;
}

void Session::end_logout() {
    const auto request = wire::LogoutRequest::decode(current_);
    auto code = wire::LogoutResponseCode::success;
    switch (request.reason) {
        case wire::LogoutReason::close_session: break;
        case wire::LogoutReason::close_connection:
            if (request.cid != cid_) code = wire::LogoutResponseCode::cid_not_found;
            break;
        case wire::LogoutReason::remove_for_recovery: code = wire::LogoutResponseCode::recovery_not_supported; break;
        default: return reject(RejectReason::invalid_pdu_field);
    }
    if (code != wire::LogoutResponseCode::success) {
        Control& answer = control(true);
        wire::LogoutResponse{.response = code, .initiator_task_tag = request.initiator_task_tag}.encode(answer.bhs);
        return;
    }
    answering_logout_ = true;
    logout_tag_ = request.initiator_task_tag;
    abort_all();
    answer_functions();
}

}  // namespace diskless::iscsi
