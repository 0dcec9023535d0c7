#include "disklessd/disk_copy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "disklessd/importing/disk_file.hpp"
#include "storage/blocking.hpp"

namespace diskless {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

void check(const boost::system::error_code& error, const storage::BlockDevice& device) {
    if (error) throw std::runtime_error{fmt::format("disk {}: {}", device.name(), error.message())};
}

bool all_zeros(ByteSpan bytes) noexcept {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

/// The next stretch that may hold something, from `at` on.
storage::Extent next_extent(storage::BlockDevice& device, std::uint64_t at) {
    std::array<storage::Extent, 1> extent;
    storage::BlockingRequest request;
    request.kind = storage::IoKind::allocation;
    request.offset_bytes = at;
    request.length_bytes = device.geometry().size_bytes - at;
    request.extents = extent;
    check(request.run(device), device);
    if (request.extent_count == 0) return {at, request.length_bytes, true};
    return extent[0];
}

}  // namespace

void for_all_data(storage::BlockDevice& device, const std::function<void(std::uint64_t, ByteSpan)>& use) {
    std::vector<std::byte> chunk(chunk_bytes);
    const std::uint64_t end = device.geometry().size_bytes;
    for (std::uint64_t at = 0; at < end;) {
        const storage::Extent extent = next_extent(device, at);
        const std::uint64_t extent_end = std::min(end, extent.offset_bytes + extent.length_bytes);
        for (; extent.allocated && at < extent_end; at += chunk.size()) {
            chunk.resize(std::min<std::uint64_t>(chunk_bytes, extent_end - at));
            check(read_now(device, at, chunk), device);
            if (!all_zeros(chunk)) use(at, chunk);
        }
        at = extent_end;
        chunk.resize(chunk_bytes);
    }
}

Copied copy_to_raw(storage::BlockDevice& device, const std::filesystem::path& to) {
    importing::DiskFile file{to};
    const std::vector<std::byte> zeros(chunk_bytes);
    const auto pad_to = [&](std::uint64_t offset) {
        while (file.size_bytes() < offset)
            file.append(ByteSpan{zeros}.first(std::min<std::uint64_t>(zeros.size(), offset - file.size_bytes())));
    };
    for_all_data(device, [&](std::uint64_t offset, ByteSpan data) {
        pad_to(offset);
        file.append(data);
    });
    pad_to(device.geometry().size_bytes);
    file.finish();
    return {.size_bytes = file.size_bytes(), .digest = file.digest()};
}

void copy_to_image(storage::BlockDevice& device, storage::qcow2::Image& image) {
    for_all_data(device, [&](std::uint64_t offset, ByteSpan data) { check(write_now(image, offset, data), image); });
    check(flush_now(image), image);
}

void merge(storage::qcow2::Image& below, storage::qcow2::Image& above) {
    using Own = storage::qcow2::Image::Own;
    const auto own_at = [](storage::qcow2::Image& image, std::uint64_t at) -> Own {
        const auto own = image.own_at(at);
        if (!own) check(own.error(), image);
        return *own;
    };
    std::vector<std::byte> chunk;
    const std::uint64_t end = std::min(below.geometry().size_bytes, above.geometry().size_bytes);
    for (std::uint64_t at = 0; at < end;) {
        const Own lower = own_at(below, at), upper = own_at(above, at);
        const std::uint64_t bytes = std::min({lower.bytes, upper.bytes, end - at, std::uint64_t{chunk_bytes}});
        if (lower.held && !upper.held) {
            chunk.resize(bytes);
            check(read_now(above, at, chunk), above);
            check(write_now(above, at, chunk), above);
        }
        at += !lower.held ? lower.bytes : upper.held ? upper.bytes : bytes;
    }
    check(flush_now(above), above);
}

}  // namespace diskless
