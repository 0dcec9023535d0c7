// ReceiveBuffer: bytes that have arrived and are not yet used. Small while a connection is quiet; borrows a large block from the pool while
// the stream fills it.
#pragma once

#include <cstring>
#include <memory>

#include "common/bytes.hpp"
#include "services/iscsi/buffer_pool.hpp"

namespace diskless::iscsi {

class ReceiveBuffer {
 public:
    /// What an idle connection keeps. Holds any header, and the small writes of a quiet system.
    static constexpr std::size_t small_bytes = std::size_t{16} << 10;
    static constexpr std::size_t large_bytes = std::size_t{256} << 10;

    explicit ReceiveBuffer(BufferPool& pool) : pool_{pool}, small_{std::make_unique<std::byte[]>(small_bytes)} {}

    [[nodiscard]] ByteSpan bytes() const noexcept { return {base() + begin_, end_ - begin_}; }
    void consume(std::size_t count) noexcept { begin_ += count; }

    /// Where the next bytes go; never empty as long as what lies here is less than the small buffer. Call committed() with what arrived.
    [[nodiscard]] MutableByteSpan room() noexcept {
        if (begin_ == end_) begin_ = end_ = 0;
        if (begin_ != 0 && (capacity() - end_ < small_bytes / 2)) {
            std::memmove(base(), base() + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        return {base() + end_, capacity() - end_};
    }
    void committed(std::size_t count) noexcept {
        end_ += count;
        filled_ = end_ == capacity();
    }

    /// Between two passes: larger when the last read filled the buffer, small again when nothing is left in it.
    void adapt() noexcept {
        if (large_) {
            if (begin_ == end_ && !filled_) {
                large_.release();
                begin_ = end_ = 0;
            }
        } else if (filled_) {
            if (Buffer block = pool_.allocate(large_bytes)) {
                std::memcpy(block.span().data(), base() + begin_, end_ - begin_);
                large_ = std::move(block);
                end_ -= begin_;
                begin_ = 0;
            }
        }
        filled_ = false;
    }

 private:
    [[nodiscard]] std::byte* base() const noexcept { return large_ ? large_.span().data() : small_.get(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return large_ ? large_bytes : small_bytes; }

    BufferPool& pool_;
    std::unique_ptr<std::byte[]> small_;
    Buffer large_;
    std::size_t begin_ = 0, end_ = 0;
    bool filled_ = false;
};

}  // namespace diskless::iscsi
