#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <map>

#include "common/text.hpp"
#include "config/checks.hpp"

namespace diskless::config {
namespace {

namespace fs = std::filesystem;
using boot::DiskMode;

bool writes(DiskMode mode) noexcept { return mode == DiskMode::persistent || mode == DiskMode::shared; }

/// Who uses a file: the base of an image, or a disk.
struct User {
    std::string who;  ///< "client 'desk-01'"
    Place where;
    DiskMode mode = DiskMode::ephemeral;
};

class FileCheck {
 public:
    explicit FileCheck(const Declaration& declaration) : declaration_{&declaration} {}

    void image(const boot::Image& image, const ImagePlaces& places) {
        if (!places.file) return;
        examine(image.file, places.file, DiskMode::ephemeral, 0, {}, false);
        use(image.file, {fmt::format("image {}", in_quotes(image.name)), places.file, DiskMode::ephemeral});
    }

    /// The files themselves, once where they are written.
    void disks(const std::vector<boot::Disk>& disks, const std::vector<DiskPlaces>& places) {
        for (std::size_t i = 0; i < disks.size(); ++i) {
            if (const auto* const file = std::get_if<boot::FileSource>(&disks[i].source))
                examine(file->path, places[i].source, disks[i].mode, file->size_bytes, places[i].size, true);
        }
    }

    /// Who uses them: a group's disks are used by each of its clients.
    void users(const std::vector<boot::Disk>& disks, const std::vector<DiskPlaces>& places, const std::string& who) {
        for (std::size_t i = 0; i < disks.size(); ++i) {
            if (const auto* const file = std::get_if<boot::FileSource>(&disks[i].source))
                use(file->path, {who, places[i].source, disks[i].mode});
        }
    }

 private:
    [[nodiscard]] fs::path absolute(const fs::path& file) const { return (declaration_->config.server.data_dir / file).lexically_normal(); }

    void problem(Place where, const fs::path& file, std::string_view what, std::string remedy) const {
        declaration_->findings.add(where, fmt::format("file {} {}", in_quotes(absolute(file).native()), what), std::move(remedy));
    }

    void examine(const fs::path& file, Place where, DiskMode mode, std::uint64_t size_bytes, Place size_place, bool is_disk) const {
        const fs::path path = absolute(file);
        std::error_code error;
        const fs::file_status status = fs::status(path, error);
        if (status.type() == fs::file_type::not_found) {
            if (size_bytes == 0) {
                problem(where, file, "does not exist",
                        is_disk ? "create it, or add size = \"20GiB\" to have it made" : "copy the image there, or correct the path");
            } else if (!is_under_data_dir(path) && !fs::is_directory(path.parent_path(), error)) {
                problem(where, file, "cannot be made: its folder does not exist", "create the folder, or correct the path");
            }
        } else if (fs::is_directory(status)) {
            problem(where, file, "is a directory", "name a file");
        } else if (error || !(fs::is_regular_file(status) || (is_disk && fs::is_block_file(status)))) {
            if (error) {
                problem(where, file, fmt::format("cannot be examined ({})", error.message()), "check the owner and mode of its folders");
            } else {
                problem(where, file, is_disk ? "is neither a file nor a block device" : "is not a file", "name a file");
            }
        } else if (::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) {
            problem(where, file, "cannot be read", "check its owner and mode");
        } else if (is_disk && writes(mode) && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
            problem(where, file, "cannot be written", "check its owner and mode, or make the disk read-only");
        } else if (fs::is_regular_file(status)) {
            examine_size(file, where, fs::file_size(path, error), size_bytes, size_place);
        }
    }

    void examine_size(const fs::path& file, Place where, std::uintmax_t present, std::uint64_t wanted, Place size_place) const {
        if (present == 0 && wanted == 0) {
            problem(where, file, "is empty", "copy a disk image into it");
        } else if (present != 0 && present < wanted) {
            problem(size_place, file, fmt::format("has {}, less than its size {}", print_size(present), print_size(wanted)),
                    fmt::format("write size = \"{}\", or grow it: truncate -s {} FILE", print_size(present), wanted));
        }
    }

    [[nodiscard]] bool is_under_data_dir(const fs::path& path) const {
        const fs::path relative = path.lexically_relative(declaration_->config.server.data_dir.lexically_normal());
        return !relative.empty() && *relative.begin() != "..";
    }

    /// Two writers, or a writer below somebody's overlay, destroy a disk. Only `shared` says that its users agree among themselves.
    void use(const fs::path& file, User user) {
        const auto [first, is_new] = users_.try_emplace(absolute(file), user);
        if (is_new) return;
        const User& other = first->second;
        const bool both_shared = user.mode == DiskMode::shared && other.mode == DiskMode::shared;
        const bool one_reads = user.mode == DiskMode::read_only || other.mode == DiskMode::read_only;
        if (both_shared || one_reads || (!writes(user.mode) && !writes(other.mode))) return;
        problem(user.where, file,
                fmt::format("would be written by {} while {} uses it ({})", writes(user.mode) ? user.who : other.who,
                            writes(user.mode) ? other.who : user.who, declaration_->findings.at(other.where)),
                "give each its own file, or make all of them mode = \"shared\" or \"read-only\"");
    }

    const Declaration* declaration_;
    std::map<fs::path, User> users_;
};

}  // namespace

void check_files(const Declaration& declaration) {
    const boot::CatalogData& declared = declaration.config.declared;
    const Places& places = declaration.places;
    FileCheck files{declaration};
    for (std::size_t i = 0; i < declared.images.size(); ++i) files.image(declared.images[i], places.images[i]);
    std::map<std::string_view, std::size_t> groups;
    for (std::size_t i = 0; i < declared.groups.size(); ++i) {
        if (!declared.groups[i].name.empty()) groups.emplace(declared.groups[i].name, i);
        if (const auto& disks = declared.groups[i].settings.disks) files.disks(*disks, places.groups[i].settings.disks);
    }
    for (std::size_t i = 0; i < declared.clients.size(); ++i) {
        const boot::ClientEntry& client = declared.clients[i];
        const std::string who = fmt::format("client {}", in_quotes(client.name));
        if (client.settings.disks) {
            files.disks(*client.settings.disks, places.clients[i].settings.disks);
            files.users(*client.settings.disks, places.clients[i].settings.disks, who);
        } else if (const auto group = groups.find(client.group); group != groups.end()) {
            if (const auto& disks = declared.groups[group->second].settings.disks)
                files.users(*disks, places.groups[group->second].settings.disks, who);
        }
    }
    for (std::size_t i = 0; i < declared.targets.size(); ++i) {
        files.disks(declared.targets[i].luns, places.targets[i].luns);
        files.users(declared.targets[i].luns, places.targets[i].luns, fmt::format("target {}", in_quotes(declared.targets[i].name)));
    }
}

}  // namespace diskless::config
