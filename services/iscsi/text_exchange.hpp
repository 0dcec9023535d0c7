// One text negotiation of the full feature phase: requests that continue (C bit) are collected, an answer longer than the peer takes in one
// PDU is handed out in pieces, each asked for with our Target Transfer Tag (RFC 7143 6.2, 11.10, 11.11). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "services/iscsi/wire/bhs.hpp"

namespace diskless::iscsi {

class TextExchange {
 public:
    explicit TextExchange(std::size_t max_text_bytes) noexcept : max_text_bytes_{max_text_bytes} {}

    enum class Next : std::uint8_t {
        ask,      ///< an empty response with tag() asks for the rest of the request
        answer,   ///< the request is whole: text() says what it is; then begin_answer() and next_piece()
        proceed,  ///< next_piece() of the answer is asked for
        wrong,    ///< tag unknown, or too much text
    };
    [[nodiscard]] Next receive(std::uint32_t target_transfer_tag, bool final, bool continues, std::string_view text);

    [[nodiscard]] const std::string& text() const noexcept { return collected_; }
    void begin_answer(std::string answer) noexcept;

    struct Piece {
        std::string text;
        bool final = true;
        bool continues = false;
        std::uint32_t target_transfer_tag = wire::reserved_tag;  ///< for the initiator's next request; reserved: this was the end
    };
    [[nodiscard]] Piece next_piece(std::size_t max_bytes);
    [[nodiscard]] std::uint32_t tag() const noexcept { return tag_; }

 private:
    void ensure_tag() noexcept;

    std::size_t max_text_bytes_;
    std::string collected_;
    std::string answer_;
    std::uint32_t tag_ = wire::reserved_tag;  // of the exchange under way
    std::uint32_t next_tag_ = 1;
    bool request_final_ = true;
};

}  // namespace diskless::iscsi
