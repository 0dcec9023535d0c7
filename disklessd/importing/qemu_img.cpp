#include "disklessd/importing/qemu_img.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <charconv>
#include <optional>
#include <string>

#include "common/text.hpp"
#include "disklessd/importing/child.hpp"
#include "disklessd/importing/error.hpp"

namespace diskless::importing {
namespace {

namespace json = boost::json;

constexpr int no_such_program = 127;

/// The last line of what it complained, without its own name.
std::string complaint(const Ended& ended) {
    std::string_view text = ended.err;
    while (text.ends_with('\n')) text.remove_suffix(1);
    text = text.substr(text.rfind('\n') + 1);
    constexpr std::string_view own_name = "qemu-img: ";
    if (text.starts_with(own_name)) text.remove_prefix(own_name.size());
    return text.empty() ? fmt::format("it ended with status {}", ended.status) : escaped(text, 300);
}

void require_success(const Ended& ended, Format format) {
    if (ended.status == 0) return;
    if (ended.status == no_such_program)
        throw ImportError{
            fmt::format("needs qemu-img, for it is {}; install the package qemu-utils, or convert it to raw elsewhere", name_of(format))};
    if (ended.err.contains("No space left"))
        throw ImportError{"there is no room for it; make some, or delete versions: diskless image delete NAME@N"};
    throw ImportError{fmt::format("is not read as {}: {}; check it, or state another --format", name_of(format), complaint(ended))};
}

/// A file of several extents lists them; one file lists itself.
bool names_other_files(const json::object& data, const std::string& file) {
    const json::value* extents = data.if_contains("extents");
    if (extents == nullptr || !extents->is_array()) return false;
    for (const json::value& extent : extents->get_array()) {
        const json::value* name = extent.is_object() ? extent.get_object().if_contains("filename") : nullptr;
        if (name == nullptr || !name->is_string() || name->get_string() != file) return true;
    }
    return false;
}

/// "    (12.34/100%)\r    (12.99/100%)\r": the last of them.
std::optional<double> last_share(std::string_view out) {
    const auto end = out.rfind("/100%)");
    if (end == std::string_view::npos) return std::nullopt;
    const auto begin = out.rfind('(', end);
    if (begin == std::string_view::npos) return std::nullopt;
    double percent = 0;
    const auto [stop, error] = std::from_chars(out.data() + begin + 1, out.data() + end, percent);
    return error == std::errc{} ? std::optional{percent / 100} : std::nullopt;
}

}  // namespace

std::uint64_t inspect_image(const std::filesystem::path& file, Format format, const std::stop_token& stop) {
    const Ended ended = run_child({"qemu-img", "info", "-f", std::string{name_of(format)}, "--output=json", file.native()}, stop);
    require_success(ended, format);
    boost::system::error_code error;
    const json::value answer = json::parse(ended.out, error);
    if (error || !answer.is_object()) throw ImportError{"qemu-img's answer about it makes no sense; install qemu-utils anew"};
    const json::object& info = answer.get_object();
    if (info.contains("backing-filename") || info.contains("full-backing-filename"))
        throw ImportError{"is an overlay that names a backing file; flatten it first: qemu-img convert -O qcow2"};
    const json::value* encrypted = info.if_contains("encrypted");
    if (encrypted != nullptr && encrypted->is_bool() && encrypted->get_bool())
        throw ImportError{"is encrypted; decrypt it first: qemu-img convert"};
    const json::value* specific = info.if_contains("format-specific");
    const json::value* data = specific != nullptr && specific->is_object() ? specific->get_object().if_contains("data") : nullptr;
    if (data != nullptr && data->is_object()) {
        const json::object& object = data->get_object();
        if (object.contains("data-file") || names_other_files(object, file.native()))
            throw ImportError{"keeps its data in another file; make one file of it: qemu-img convert -O qcow2"};
        if (object.contains("encrypt")) throw ImportError{"is encrypted; decrypt it first: qemu-img convert"};
    }
    const json::value* size = info.if_contains("virtual-size");
    if (size == nullptr || !size->is_number()) throw ImportError{"qemu-img does not know its size; check it: qemu-img check"};
    return size->to_number<std::uint64_t>();
}

void convert_image(const std::filesystem::path& file, Format format, const std::filesystem::path& raw, const std::stop_token& stop,
                   const std::function<void(double share)>& done) {
    const Ended ended =
        run_child({"qemu-img", "convert", "-p", "-f", std::string{name_of(format)}, "-O", "raw", file.native(), raw.native()}, stop,
                  [&](std::string_view out) {
                      if (const auto share = last_share(out)) done(*share);
                  });
    require_success(ended, format);
}

}  // namespace diskless::importing
