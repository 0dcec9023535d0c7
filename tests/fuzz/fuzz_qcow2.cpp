// A qcow2 file that anybody may have made: it is refused with one line, or it opens, and reading, writing, discarding and closing it harm
// nobody. What opened once and was written to opens again.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "storage/blocking.hpp"
#include "storage/memory.hpp"
#include "storage/qcow2/image.hpp"

namespace {

using namespace diskless;
using namespace diskless::storage;

constexpr std::uint64_t most_bytes = 1 << 20;

std::shared_ptr<qcow2::Image> open(const std::shared_ptr<MemoryDevice>& file, bool read_only) {
    return qcow2::Image::open(file, {.read_only = read_only}, [](const std::string&, const std::string&) {
        return std::make_shared<MemoryDevice>(Geometry{.size_bytes = 1 << 16});
    });
}

std::shared_ptr<qcow2::Image> try_to_open(const std::shared_ptr<MemoryDevice>& file, bool read_only) {
    try {
        return open(file, read_only);
    } catch (const std::runtime_error& error) {
        if (!std::string_view{error.what()}.starts_with("disk memory: ") || std::string_view{error.what()}.contains('\n')) std::abort();
        return nullptr;
    }
}

void look_at(qcow2::Image& image, bool writes) {
    std::array<std::byte, 8192> bytes{};
    const std::uint64_t end = image.geometry().size_bytes;
    for (const std::uint64_t at :
         {std::uint64_t{0}, std::uint64_t{1} << 16, end / 2 / 512 * 512, end - std::min<std::uint64_t>(end, 8192)}) {
        const std::size_t length = std::min<std::uint64_t>(bytes.size(), end - std::min(end, at));
        if (length == 0) continue;
        const MutableByteSpan piece{bytes.data(), length};
        (void)read_now(image, at, piece);
        if (!writes) continue;
        if (!write_now(image, at, piece.first(std::min<std::size_t>(length, 1024)))) (void)read_now(image, at, piece);
        BlockingRequest discard;
        discard.kind = IoKind::discard;
        discard.offset_bytes = at;
        discard.length_bytes = length;
        (void)discard.run(image);
    }
    if (writes) (void)flush_now(image);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > most_bytes / 2) return 0;
    const auto file = std::make_shared<MemoryDevice>(Geometry{.size_bytes = most_bytes, .can_discard = true});
    std::copy_n(reinterpret_cast<const std::byte*>(data), size, file->contents().begin());
    if (const auto image = try_to_open(file, true)) look_at(*image, false);
    bool sound = false;
    if (const auto image = try_to_open(file, false)) {
        look_at(*image, true);
        sound = !flush_now(*image);
    }
    if (sound) (void)open(file, false);  // what it throws is a finding
    return 0;
}
