#include "services/tftp/content.hpp"

#include <algorithm>

#include "services/tftp/wire/netascii.hpp"

namespace diskless::tftp {

std::uint64_t Content::size_bytes() const noexcept {
    if (const auto* file = std::get_if<storage::BootFile>(&source_)) return file->size_bytes();
    return std::get<std::string>(source_).size();
}

bool Content::read(std::uint64_t offset_bytes, MutableByteSpan into) const noexcept {
    if (const auto* file = std::get_if<storage::BootFile>(&source_)) return file->read(offset_bytes, into);
    const ByteSpan text = as_bytes(std::get<std::string>(source_));
    if (offset_bytes > text.size() || into.size() > text.size() - offset_bytes) return false;
    std::ranges::copy(text.subspan(offset_bytes, into.size()), into.begin());
    return true;
}

std::optional<Content> Content::as_netascii() const {
    if (size_bytes() > max_netascii_bytes) return std::nullopt;
    std::string text(size_bytes(), '\0');
    if (!read(0, std::as_writable_bytes(std::span{text}))) return std::nullopt;
    return Content{wire::to_netascii(text)};
}

}  // namespace diskless::tftp
