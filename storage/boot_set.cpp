#include "storage/boot_set.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "common/assert.hpp"

namespace diskless::storage {
namespace {

constexpr std::string_view magic = "DLBOOTST";
constexpr std::uint32_t format = 1;
constexpr std::size_t checksum_at = 12, checked_from = 16;

std::uint32_t checksum(ByteSpan bytes) noexcept {
    return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Sorted runs with gaps of at most `gap` pieces filled.
std::vector<PieceRun> joined(const std::vector<PieceRun>& runs, std::uint64_t gap) {
    std::vector<PieceRun> joined;
    for (const PieceRun& run : runs) {
        if (joined.empty() || run.first > joined.back().end() + gap) {
            joined.push_back(run);
        } else {
            joined.back().count = static_cast<std::uint32_t>(std::max(joined.back().end(), run.end()) - joined.back().first);
        }
    }
    return joined;
}

class Writer {
 public:
    template<std::unsigned_integral T>
    void be(T value) {
        out.resize(out.size() + sizeof value);
        store_be(out, out.size() - sizeof value, value);
    }
    std::vector<std::byte> out;
};

}  // namespace

std::size_t BootSet::run_count() const noexcept {
    std::size_t count = 0;
    for (const File& file : files) count += file.runs.size();
    return count;
}

std::uint64_t BootSet::bytes() const noexcept {
    std::uint64_t pieces = 0;
    for (const File& file : files) {
        for (const PieceRun& run : file.runs) pieces += run.count;
    }
    return pieces * piece_bytes;
}

bool BootSet::fits(const BootSet& other) const noexcept {
    return std::ranges::equal(files, other.files, {}, &File::size_bytes, &File::size_bytes);
}

BootSet united(const BootSet& one, const BootSet& other) {
    DISKLESS_ASSERT(one.fits(other));
    BootSet both = one;
    for (std::size_t i = 0; i < both.files.size(); ++i) {
        auto& runs = both.files[i].runs;
        runs.insert(runs.end(), other.files[i].runs.begin(), other.files[i].runs.end());
        std::ranges::sort(runs, {}, &PieceRun::first);
        runs = joined(runs, 0);
    }
    return both;
}

BootSet bounded(BootSet set) {
    for (std::uint64_t gap = 1; set.run_count() > BootSet::max_runs; gap *= 2) {
        for (BootSet::File& file : set.files) file.runs = joined(file.runs, gap);
    }
    return set;
}

std::vector<std::byte> encode(const BootSet& set) {
    Writer writer;
    writer.out.assign(as_bytes(magic).begin(), as_bytes(magic).end());
    writer.be(format);
    writer.be(std::uint32_t{0});
    writer.be(static_cast<std::uint32_t>(piece_bytes));
    writer.be(static_cast<std::uint32_t>(set.files.size()));
    for (const BootSet::File& file : set.files) {
        writer.be(file.size_bytes);
        writer.be(static_cast<std::uint32_t>(file.runs.size()));
        for (const PieceRun& run : file.runs) {
            writer.be(run.first);
            writer.be(run.count);
        }
    }
    store_be(writer.out, checksum_at, checksum(ByteSpan{writer.out}.subspan(checked_from)));
    return std::move(writer.out);
}

std::expected<BootSet, std::string> decode_boot_set(ByteSpan bytes) {
    ByteReader reader{bytes};
    if (as_text(reader.bytes(magic.size())) != magic) return std::unexpected{"it does not begin as one"};
    if (reader.be<std::uint32_t>() != format) return std::unexpected{"it is of another format"};
    const auto expected = reader.be<std::uint32_t>();
    if (!reader.ok() || expected != checksum(reader.rest())) return std::unexpected{"its checksum is wrong"};
    const auto piece = reader.be<std::uint32_t>();
    const auto files = reader.be<std::uint32_t>();
    if (!reader.ok() || piece != piece_bytes || files > BootSet::max_files) return std::unexpected{"its pieces or files are none of ours"};
    BootSet set;
    std::size_t runs_left = BootSet::max_runs;
    for (std::uint32_t i = 0; i < files; ++i) {
        BootSet::File& file = set.files.emplace_back();
        file.size_bytes = reader.be<std::uint64_t>();
        const auto runs = reader.be<std::uint32_t>();
        if (!reader.ok() || runs > runs_left || runs > reader.remaining() / 8) return std::unexpected{"it has too many runs, or too few"};
        runs_left -= runs;
        std::uint64_t from = 0;
        for (std::uint32_t k = 0; k < runs; ++k) {
            const auto first = reader.be<std::uint32_t>();
            const PieceRun run{first, reader.be<std::uint32_t>()};
            if (run.count == 0 || run.first < from || run.end() > pieces_of(file.size_bytes))
                return std::unexpected{"a run is out of order, or beyond the end of its file"};
            from = run.end() + 1;
            file.runs.push_back(run);
        }
    }
    if (reader.remaining() != 0) return std::unexpected{"there is more than belongs there"};
    return set;
}

}  // namespace diskless::storage
