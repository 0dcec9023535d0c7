#include "tests/tools/qcow2_exercise/disks.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "storage/raw.hpp"

namespace diskless::exercise {

using namespace storage;

namespace {

constexpr unsigned max_chain = 16;

}  // namespace

std::shared_ptr<BlockDevice> open_file(const std::filesystem::path& path, bool read_only, const std::shared_ptr<Backend>& backend) {
    return open_raw(path, {.read_only = read_only, .growable = true}, backend);
}

std::shared_ptr<qcow2::Image> open_image(const std::filesystem::path& path, const qcow2::ImageOptions& options,
                                         const std::shared_ptr<Backend>& backend, unsigned depth) {
    if (depth == max_chain) throw std::runtime_error{fmt::format("disk {}: its chain of backing files does not end", path.string())};
    const auto folder = std::filesystem::canonical(path).parent_path();
    const auto open_backing = [&](const std::string& name, const std::string& format) -> std::shared_ptr<BlockDevice> {
        std::error_code missing;
        const auto backing = std::filesystem::canonical(folder / name, missing);
        if (missing || backing.parent_path() != folder)
            throw std::runtime_error{fmt::format("disk {}: its backing file \"{}\" is not in its folder", path.string(), name)};
        if (format == "raw") return open_file(backing, true, backend);
        if (format == "qcow2") return open_image(backing, {.read_only = true, .cache = options.cache}, backend, depth + 1);
        throw std::runtime_error{fmt::format("disk {}: the format of its backing file is \"{}\"", path.string(), format)};
    };
    return qcow2::Image::open(open_file(path, options.read_only, backend), options, open_backing);
}

}  // namespace diskless::exercise
