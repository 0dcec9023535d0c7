// Content: what a transfer sends: a file of the boot root, or a text made for this client.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "services/tftp/wire/packet.hpp"
#include "storage/boot_files.hpp"

namespace diskless::tftp {

class Content {
 public:
    explicit Content(storage::BootFile file) : source_{std::move(file)} {}
    explicit Content(std::string text) : source_{std::move(text)} {}

    [[nodiscard]] std::uint64_t size_bytes() const noexcept;
    /// False: the file cannot be read, or has become shorter.
    [[nodiscard]] bool read(std::uint64_t offset_bytes, MutableByteSpan into) const noexcept;

    /// What is sent in mode netascii is translated as a whole, in memory: only texts are asked for so. Nothing: too large, or unreadable.
    [[nodiscard]] std::optional<Content> as_netascii() const;
    static constexpr std::uint64_t max_netascii_bytes = 1 << 20;

 private:
    std::variant<storage::BootFile, std::string> source_;
};

}  // namespace diskless::tftp
