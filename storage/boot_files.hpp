// BootFiles: what lies under the boot root, for TFTP and HTTP alike: the administrator's files, and the distribution's loaders under their
// usual names. No name leaves the root, whatever a client writes. Any thread; opening may touch the disk for a moment, as boot files are
// few and cached.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.hpp"

namespace diskless::storage {

/// An open regular file. Owns the descriptor.
class BootFile {
 public:
    BootFile(int descriptor, std::uint64_t size_bytes, std::time_t modified, std::string name)
        : descriptor_{descriptor}, size_bytes_{size_bytes}, modified_{modified}, name_{std::move(name)} {}
    BootFile(BootFile&& other) noexcept;
    BootFile& operator=(BootFile&& other) noexcept;
    ~BootFile();

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
    [[nodiscard]] std::time_t modified() const noexcept { return modified_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }  ///< as it was found: relative to its folder

    /// Fills all of `into` from `offset_bytes`. False: the disk failed, or the file has become shorter than it was.
    [[nodiscard]] bool read(std::uint64_t offset_bytes, MutableByteSpan into) const noexcept;

 private:
    int descriptor_;
    std::uint64_t size_bytes_;
    std::time_t modified_;
    std::string name_;
};

class BootFiles {
 public:
    /// A package's file, and the name under which clients ask for it.
    struct Alias {
        std::string name;  ///< without a slash
        std::filesystem::path file;
    };
    /// Where Debian's packages put loaders that may be fetched by their plain names (ipxe), and by other names than their own (shim-signed,
    /// grub-efi-amd64-signed: shim asks for "grubx64.efi", which for booting from a network is another one than for a disk).
    static std::vector<std::filesystem::path> distribution_folders();
    static std::vector<Alias> distribution_aliases();

    explicit BootFiles(std::filesystem::path root, std::vector<std::filesystem::path> distribution = distribution_folders(),
                       std::vector<Alias> aliases = distribution_aliases());

    /// The file a client means, or nothing. A file under the root wins over the distribution's, the exact name over one that differs in
    /// case only.
    [[nodiscard]] std::optional<BootFile> open(std::string_view requested) const;

    /// The name without what clients put around it: leading and double slashes, backslashes, trailing junk that some ROMs append (0xFF).
    /// Nothing: the name tries to leave the root, or is none.
    [[nodiscard]] static std::optional<std::string> clean(std::string_view requested);

    static constexpr std::size_t max_name_bytes = 1024;

 private:
    std::filesystem::path root_;
    std::vector<std::filesystem::path> distribution_;
    std::vector<Alias> aliases_;
};

}  // namespace diskless::storage
