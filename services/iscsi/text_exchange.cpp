#include "services/iscsi/text_exchange.hpp"

#include <algorithm>
#include <utility>

namespace diskless::iscsi {

void TextExchange::ensure_tag() noexcept {
    if (tag_ == wire::reserved_tag) tag_ = next_tag_++ & 0x7fffffff;
}

TextExchange::Next TextExchange::receive(std::uint32_t target_transfer_tag, bool final, bool continues, std::string_view text) {
    if (final && continues) return Next::wrong;
    if (target_transfer_tag == wire::reserved_tag) {
        // A new exchange; one under way is forgotten (RFC 7143 11.10.4).
        collected_.clear();
        answer_.clear();
        tag_ = wire::reserved_tag;
    } else if (target_transfer_tag != tag_) {
        return Next::wrong;
    } else if (!answer_.empty()) {
        return text.empty() && !continues ? Next::proceed : Next::wrong;
    }
    if (collected_.size() + text.size() > max_text_bytes_) return Next::wrong;
    collected_ += text;
    request_final_ = final;
    if (!continues) return Next::answer;
    ensure_tag();
    return Next::ask;
}

void TextExchange::begin_answer(std::string answer) noexcept {
    collected_.clear();
    answer_ = std::move(answer);
}

TextExchange::Piece TextExchange::next_piece(std::size_t max_bytes) {
    const std::size_t taken = std::min(max_bytes, answer_.size());
    Piece piece{.text = answer_.substr(0, taken)};
    answer_.erase(0, taken);
    piece.continues = !answer_.empty();
    piece.final = !piece.continues && request_final_;
    if (piece.final) {
        tag_ = wire::reserved_tag;
    } else {
        ensure_tag();
    }
    piece.target_transfer_tag = tag_;
    return piece;
}

}  // namespace diskless::iscsi
