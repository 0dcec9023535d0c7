// Sanitizer: one SANITIZE operation (SBC-3 4.11, 5.24) over a whole unit, by itself: with IMMED its command has ended long before, and
// no abort or reset ends it. Keeps itself and the unit alive until it is done; rests now and then, so that others get the disk.
#pragma once

#include <memory>
#include <vector>

#include "services/iscsi/scsi/logical_unit.hpp"

namespace diskless::scsi {

class Sanitizer final : public storage::IoRequest {
 public:
    /// Here nothing is encrypted, so there is no key to throw away: a cryptographic erase erases the blocks.
    enum class Method : std::uint8_t { overwrite = 1, block_erase = 2, cryptographic_erase = 3 };

    /// `pattern`: one block's content for overwrite. `waiting`: the command that ends with the operation; nullptr: none does.
    static storage::Started run(std::shared_ptr<LogicalUnit> unit, Method method, std::vector<std::byte> pattern, unsigned passes,
                                bool invert, Command* waiting);

    void completed() noexcept override;

 private:
    Sanitizer(std::shared_ptr<LogicalUnit> unit, Method method, std::vector<std::byte> pattern, unsigned passes, bool invert);
    /// True: the operation is over.
    [[nodiscard]] bool advance() noexcept;
    /// Piece by piece until the end (true), or until a piece or a rest takes time.
    [[nodiscard]] bool go_on() noexcept;
    [[nodiscard]] bool rest();
    /// Ends: with the command that waits, if one still does and `told` is asked for.
    void finish(bool tell) noexcept;

    std::shared_ptr<LogicalUnit> unit_;
    Method method_;
    std::vector<std::byte> piece_;
    iovec buffer_{};
    unsigned pass_ = 0, passes_;
    bool invert_;
    bool flushed_ = false;
    std::uint64_t done_bytes_ = 0;
    std::uint64_t rested_at_ = 0;
};

}  // namespace diskless::scsi
