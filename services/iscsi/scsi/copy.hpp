// EXTENDED COPY (LID1) and RECEIVE COPY RESULTS (SPC-4 6.4, 6.18): blocks copied from unit to unit of one target without leaving the
// server. Parameter data in, checked segments out; logical_unit.cpp performs them.
#pragma once

#include <functional>

#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

/// The unit that an identification descriptor's designator names; nullptr: none of this target.
using FindUnit = std::function<std::shared_ptr<LogicalUnit>(ByteSpan designator)>;

/// What EXTENDED COPY's parameter list (in command.data) asks for; nothing: the command has failed.
[[nodiscard]] std::optional<std::vector<CopySegment>> copy_segments(Command& command, const FindUnit& find);

/// How the copy operations ended whose status nobody has asked for yet: by nexus and list identifier. The caller serialises.
class CopyResults {
 public:
    struct Result {
        std::uint64_t nexus = 0;
        std::uint8_t list = 0;
        bool good = true;
        std::uint16_t segments = 0;
        std::uint64_t bytes = 0;
    };
    static constexpr std::size_t max_results = 32;

    void keep(const Result& result);
    /// Told once.
    [[nodiscard]] std::optional<Result> take(std::uint64_t nexus, std::uint8_t list);

 private:
    std::vector<Result> results_;
};

/// COPY STATUS and OPERATING PARAMETERS.
void receive_copy_results(Command& command, CopyResults& results, std::uint32_t block_bytes);

}  // namespace diskless::scsi
