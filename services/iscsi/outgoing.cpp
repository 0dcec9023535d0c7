#include "services/iscsi/outgoing.hpp"

#include <algorithm>

#include "common/assert.hpp"

namespace diskless::iscsi {

void Batch::add_piece(const std::byte* bytes, std::size_t size) noexcept {
    if (size == 0) return;
    iovecs_[iovec_count_++] = {.iov_base = const_cast<std::byte*>(bytes), .iov_len = size};
    bytes_ += size;
}

void Batch::add(wire::Bhs& bhs, ByteSpan data, wire::Digests digests, Outgoing* release) noexcept {
    DISKLESS_ASSERT(pdus_ < max_pdus);
    Slot& slot = slots_[pdus_++];
    wire::set_data_segment_length(bhs, data.size());
    std::ranges::copy(bhs, slot.header.begin());
    std::size_t header_bytes = wire::bhs_bytes;
    if (digests.header) {
        wire::Crc32c crc;
        crc.add(bhs);
        crc.store(MutableByteSpan{slot.header}.subspan(header_bytes));
        header_bytes += wire::digest_bytes;
    }
    std::size_t trailer_bytes = wire::padding_of(data.size());
    std::fill_n(slot.trailer.begin(), trailer_bytes, std::byte{0});
    if (digests.data && !data.empty()) {
        wire::Crc32c crc;
        crc.add(data);
        crc.add(ByteSpan{slot.trailer}.first(trailer_bytes));
        crc.store(MutableByteSpan{slot.trailer}.subspan(trailer_bytes));
        trailer_bytes += wire::digest_bytes;
    }
    add_piece(slot.header.data(), header_bytes);
    add_piece(data.data(), data.size());
    add_piece(slot.trailer.data(), trailer_bytes);
    if (release != nullptr) releases_[release_count_++] = release;
}

bool Batch::advance(std::size_t bytes) noexcept {
    while (bytes != 0) {
        DISKLESS_ASSERT(first_iovec_ < iovec_count_);
        iovec& piece = iovecs_[first_iovec_];
        const std::size_t taken = std::min(bytes, piece.iov_len);
        piece.iov_base = static_cast<std::byte*>(piece.iov_base) + taken;
        piece.iov_len -= taken;
        bytes -= taken;
        if (piece.iov_len == 0) ++first_iovec_;
    }
    return first_iovec_ == iovec_count_;
}

}  // namespace diskless::iscsi
